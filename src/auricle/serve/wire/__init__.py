"""The forms of requests, answers and errors that all endpoints share."""
