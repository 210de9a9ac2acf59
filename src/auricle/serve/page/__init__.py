"""The web page at /."""

from fastapi import FastAPI

from auricle.serve.gateway import Gateway


def mount_page(app: FastAPI, gateway: Gateway) -> FastAPI:
    """The app with the page at /."""
    return app
