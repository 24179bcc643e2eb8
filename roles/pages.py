"""The explorer beside the API, in whatever process answers people."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.app import Application
    from api.parts import Parts


def with_pages(app: "Application", parts: "Parts") -> "Application":
    """The API's application, with pages wherever it has no route."""
    from explorer.parts import Parts as Given
    from explorer.site import Site, beside

    site = Site(Given(parts.reader, parts.views, parts.past, parts.objects, parts.now_us))
    app.router.default = beside(app.router.default, site.application())
    return app
