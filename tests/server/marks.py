"""A middleware: what it is, and no more."""


class Marks:
    """Adds its name to a header of the reply."""

    def __init__(self, app, name):
        self.app, self.name = app, name

    async def __call__(self, scope, receive, send):
        async def marking(event):
            if event["type"] == "http.response.start":
                event["headers"].append((b"x-passed", self.name.encode()))
            await send(event)

        await self.app(scope, receive, marking)
