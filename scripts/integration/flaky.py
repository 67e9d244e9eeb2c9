"""A load balancer with bad luck: what stands between an SDK and Penchant when the SDK's retries are tested."""

import collections
import http.client
import http.server
import json
import threading
import urllib.parse


class FlakyProxy:
    """Forwards calls to an endpoint, but refuses the first one of each named operation the way Penchant refuses under
    load. An operation is named by its target or by its path."""

    def __init__(self, endpoint, operations):
        target = urllib.parse.urlsplit(endpoint)
        self.calls = collections.Counter()
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                operation = self.headers.get("X-Amz-Target", self.path)
                proxy.calls[operation] += 1
                if operation in operations and proxy.calls[operation] == 1:
                    self.answer(503, {"X-Amzn-Errortype": "ServiceUnavailable", "Retry-After": "1"}, json.dumps(
                        {"__type": "ServiceUnavailable", "message": "The event log does not take events at the moment"}).encode())
                    return
                # The host is signed: it goes on as it came.
                connection = http.client.HTTPConnection(target.hostname, target.port, timeout=60)
                connection.request("POST", self.path, body, dict(self.headers))
                response = connection.getresponse()
                self.answer(response.status, {
                    name: value for name, value in response.getheaders()
                    if name.lower() in ("content-type", "x-amzn-errortype", "x-amzn-requestid")}, response.read())
                connection.close()

            def answer(self, status, headers, body):
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
