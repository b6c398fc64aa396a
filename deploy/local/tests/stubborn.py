"""A service that answers 200 until it is told to be stuck: then its liveness probe says 503."""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Answers(BaseHTTPRequestHandler):
    stuck = False

    def do_GET(self):
        self.send_response(503 if self.path == "/livez" and Answers.stuck else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def do_POST(self):
        Answers.stuck = True
        self.do_GET()


HTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
