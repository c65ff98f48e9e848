"""A client of JSON-RPC 1.0 over a Unix stream socket: the control socket of weftd, and the management socket of OVS."""
import json
import socket


class Refused(Exception):
    """The other side answered with an error, or went away."""


class Connection:
    def __init__(self, path, timeout=120):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.buffer = ''
        self.scanned = 0
        self.number = 0
        self.decoder = json.JSONDecoder()

    def __call__(self, method, *params):
        self.send(method, *params)
        return self.receive(method, params)

    def send(self, method, *params):
        self.number += 1
        request = {'method': method, 'params': [str(p) for p in params], 'id': self.number}
        self.socket.sendall(json.dumps(request).encode() + b'\n')

    def receive(self, method='', params=()):
        answer = self.next_object()
        if answer.get('error') is not None:
            raise Refused(f"{method} {' '.join(map(str, params))[:300]}: {str(answer['error']).strip()}")
        return answer.get('result')

    def next_object(self):
        pieces = [self.buffer] if self.buffer else []
        while True:
            # An answer is complete when it parses; trying is cheap only while answers end where a piece ends.
            if pieces and pieces[-1].rstrip()[-1:] == '}':
                text = ''.join(pieces).lstrip()
                pieces = [text]
                try:
                    answer, end = self.decoder.raw_decode(text)
                except ValueError:
                    pass
                else:
                    self.buffer = text[end:].lstrip()
                    return answer
            data = self.socket.recv(1 << 20)
            if not data:
                raise Refused(f'{self.path}: connection closed')
            pieces.append(data.decode('utf-8', 'surrogateescape'))

    def close(self):
        self.socket.close()
