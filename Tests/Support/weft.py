"""Starts a weftd of one's own in a scratch directory and talks to it."""
import os
import shutil
import subprocess
import tempfile
import time

from rpc import Connection, Refused

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WEFTD = os.environ.get('WEFTD', f'{ROOT}/.build/release/weftd')
WEFTCTL = os.environ.get('WEFTCTL', f'{ROOT}/.build/release/weftctl')
REPLAY = os.environ.get('WEFT_REPLAY', f'{ROOT}/.build/release/weft-replay')


class Weft:
    """One weftd. `weft('add-br', 'br0')` is a command; it raises Refused when the switch says no."""

    def __init__(self, *arguments, weftd=None, namespace=None, environment=None):
        self.dir = tempfile.mkdtemp(prefix='weft-test-')
        self.path = f'{self.dir}/weft.sock'
        self.command = [weftd or WEFTD, '--control', self.path, *arguments]
        if namespace:
            self.command = ['ip', 'netns', 'exec', namespace, *self.command]
        self.environment = dict(os.environ, **(environment or {}))
        self.process = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    def start(self):
        with open(f'{self.dir}/log', 'ab') as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                            env=self.environment)
        deadline, pause = time.monotonic() + 60, 0.002
        while True:
            try:
                self.connection = Connection(self.path)
                return
            except OSError:
                if self.process.poll() is not None:
                    raise Refused(f'weftd ended with {self.process.returncode}: {self.log()}')
                if time.monotonic() > deadline:
                    raise Refused(f'weftd opened no control socket within 60 s: {self.log()}')
                time.sleep(pause)
                pause = min(pause * 2, 0.05)

    def __call__(self, method, *params):
        try:
            return self.connection(method, *params)
        except (Refused, OSError) as error:
            if self.process.poll() is not None:
                raise Refused(f'weftd ended with {self.process.returncode} during {method}: {self.log()}')
            raise Refused(str(error))

    def log(self, limit=2000):
        try:
            with open(f'{self.dir}/log', errors='replace') as f:
                return f.read()[-limit:].strip()
        except OSError:
            return ''

    def stop(self):
        """Ends it as an administrator would; returns the exit status."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode

    def close(self):
        self.stop()
        if getattr(self, 'connection', None):
            self.connection.close()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
