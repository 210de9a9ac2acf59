"""The HTTP gateway: OpenAI's API, live voice over a WebSocket, a web page."""
