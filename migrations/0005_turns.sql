-- A lease for each duty that one process has at a time: to lead, and beside the leader to write the views and to run the daemons.
ALTER TABLE lease DROP COLUMN one;
ALTER TABLE lease ADD COLUMN duty text PRIMARY KEY DEFAULT 'lead';
