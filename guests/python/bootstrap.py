"""Runs a Python handler: takes calls from the hub over the Lambda Runtime API and returns results.

Made to start fast. Only modules that the interpreter has built in are imported up front; `json`,
`logging` and `traceback` come when a handler or an error needs them. Runs on Python 3.8 and newer,
started as `python3 -I -S -B -X utf8 bootstrap.py` with the handler's name in `_HANDLER`.
"""

import os
import sys
import time

import _json
import _socket

API = "/2018-06-01/runtime/"
JSON = "application/json"
IN_ERROR_LOGS_A_SPACE_IS = "\u00a0"


class Fault(Exception):
    """An error that the platform names, not the handler's code."""

    def __init__(self, kind, message, trace=None):
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.trace = trace


# --- the connection to the hub ------------------------------------------------------------------


class Hub:
    """One HTTP/1.1 connection that is kept open."""

    def __init__(self, address):
        host, _, port = address.rpartition(":")
        self.address = (host, int(port))
        self.host_line = ("Host: %s\r\n" % address).encode()
        self.next_request = b"GET " + API.encode() + b"invocation/next HTTP/1.1\r\n" + self.host_line + b"\r\n"
        self.socket = None
        self.rest = b""

    def next(self):
        """Waits for a call; returns its headers, by lower-case name, and its body."""
        status, headers, body = self.exchange(self.next_request)
        if status != 200:
            raise SystemExit("the hub answered %d to a worker that asked for work" % status)
        return headers, body

    def post(self, path, body, headers):
        lines = "".join("%s: %s\r\n" % header for header in headers)
        head = "POST %s%s HTTP/1.1\r\n%sContent-Length: %d\r\n" % (API, path, lines, len(body))
        head = head.encode("utf-8", "replace") + self.host_line + b"\r\n"
        status, _, answer = self.exchange(head + body)
        if status >= 500:
            raise SystemExit("the hub answered %d: %s" % (status, answer.decode("utf-8", "replace")))
        if status >= 400:
            text = answer.decode("utf-8", "replace")
            print("[WARNING] the hub refused a result: %d %s" % (status, text), file=sys.stderr)

    def exchange(self, request):
        """Sends a request and reads the answer, on a new connection if the old one was closed."""
        if self.socket is not None:
            try:
                self.socket.sendall(request)
                return self.read_answer()
            except OSError:
                self.socket.close()
        self.connect()
        self.socket.sendall(request)
        return self.read_answer()

    def connect(self):
        self.socket = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        self.socket.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        self.socket.connect(self.address)
        self.rest = b""

    def read_answer(self):
        data = self.rest
        while True:
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                break
            data += self.receive()
        lines = data[:end].decode("utf-8", "replace").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        data = data[end + 4 :]
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = self.read_chunks(data)
        else:
            body = self.read_length(data, int(headers.get("content-length", 0)))
        return int(lines[0].split(" ", 2)[1]), headers, body

    def read_length(self, data, length):
        if len(data) < length:
            parts = [data]
            missing = length - len(data)
            while missing > 0:
                part = self.receive(missing)
                parts.append(part)
                missing -= len(part)
            data = b"".join(parts)
        self.rest = data[length:]
        return data[:length]

    def read_chunks(self, data):
        body = []
        while True:
            while b"\r\n" not in data:
                data += self.receive()
            line, _, data = data.partition(b"\r\n")
            size = int(line.split(b";")[0], 16)
            chunk = self.read_length(data, size + 2) if size else b""
            if not size:
                break
            body.append(chunk[:-2])
            data = self.rest
        while not data.startswith(b"\r\n") and b"\r\n\r\n" not in data:
            data += self.receive()
        self.rest = data[2:] if data.startswith(b"\r\n") else data.partition(b"\r\n\r\n")[2]
        return b"".join(body)

    def receive(self, wanted=0):
        part = self.socket.recv(max(65536, min(wanted, 1 << 20)))
        if not part:
            raise ConnectionResetError("the hub closed the connection")
        return part


# --- JSON ---------------------------------------------------------------------------------------


class ScannerSettings:
    """What the scanner of the interpreter asks for: what `json.loads` uses, but strict JSON."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    array_hook = None
    parse_float = float
    parse_int = int
    memo = {}

    @staticmethod
    def parse_constant(name):
        raise ValueError(name)


try:
    scan = _json.make_scanner(ScannerSettings())
except (AttributeError, TypeError):
    scan = None


def read_json(text):
    """As `json.loads`, but without NaN, and without importing `json` unless the text is unusual."""
    if scan is not None:
        try:
            decoded = text.decode("utf-8").strip(" \t\n\r")
            value, end = scan(decoded, 0)
            if end == len(decoded):
                return value
        except (StopIteration, ValueError, RecursionError):
            pass
    import json

    def refuse(name):
        decoded = text.decode("utf-8")
        raise json.JSONDecodeError("Expecting value", decoded, decoded.find(name))

    return json.loads(text, parse_constant=refuse)


def unmarshal(body, content_type):
    if content_type != JSON:
        return body
    try:
        return read_json(body)
    except Exception as error:
        raise Fault("Runtime.UnmarshalError", "Unable to unmarshal input: %s" % error) from None


class Encoder:
    """Writes JSON with characters as they are. Decimals become numbers with all their digits."""

    def __init__(self):
        self.decimals = []
        self.mark = None

    def encode(self, value):
        text = self.text(value, _json.encode_basestring)
        try:
            return text.encode("utf-8")
        except UnicodeEncodeError:  # half of a surrogate pair: only an escape can carry it
            return self.text(value, _json.encode_basestring_ascii).encode("utf-8")

    def text(self, value, write_string):
        self.decimals = []
        options = ({}, self.default, write_string, None, ": ", ", ", False, False, True)
        text = "".join(_json.make_encoder(*options)(value, 0))
        for index, decimal in enumerate(self.decimals):
            text = text.replace('"%s%d"' % (self.mark, index), decimal, 1)
        return text

    def default(self, value):
        if isinstance(value, (bytes, bytearray)):
            return value.decode("utf-8")
        decimal = sys.modules.get("decimal")
        if decimal is None or not isinstance(value, decimal.Decimal):
            raise TypeError("Object of type %s is not JSON serializable" % type(value).__name__)
        if value.is_nan():
            return float("nan")
        if self.mark is None:
            self.mark = "decimal-%s-" % os.urandom(16).hex()
        self.decimals.append(str(value))
        return "%s%d" % (self.mark, len(self.decimals) - 1)


def marshal(result):
    if isinstance(result, bytes):
        return result, "application/unknown"
    try:
        return Encoder().encode(result), JSON
    except Exception as error:
        raise Fault("Runtime.MarshalError", "Unable to marshal response: %s" % error) from None


# --- what a handler sees ------------------------------------------------------------------------


class Record:
    """Names and values; `fields` says which names there are."""

    fields = ()

    def __init__(self, values):
        for name in self.fields:
            setattr(self, name, values.get(name))

    def __repr__(self):
        values = ",".join("%s=%s" % (name, getattr(self, name)) for name in self.fields)
        return "%s([%s])" % (type(self).__name__, values)


class Client(Record):
    fields = (
        "installation_id",
        "app_title",
        "app_version_name",
        "app_version_code",
        "app_package_name",
    )


class ClientContext(Record):
    fields = ("custom", "env", "client")

    def __init__(self, values):
        super().__init__(values)
        self.client = None if self.client is None else Client(self.client)


class CognitoIdentity(Record):
    fields = ("cognito_identity_id", "cognito_identity_pool_id")


class LambdaContext:
    """The second argument of a handler."""

    def __init__(self, headers):
        environ = os.environ.get
        self.aws_request_id = headers.get("lambda-runtime-aws-request-id")
        self.log_group_name = environ("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environ("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = environ("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = headers.get("lambda-runtime-invoked-function-arn")
        self.tenant_id = headers.get("lambda-runtime-aws-tenant-id")
        self._deadline_ms = int(headers.get("lambda-runtime-deadline-ms", 0))
        client = json_header(headers, "lambda-runtime-client-context", "Client Context")
        self.client_context = None if client is None else ClientContext(client)
        identity = json_header(headers, "lambda-runtime-cognito-identity", "Cognito Identity") or {}
        self.identity = CognitoIdentity(
            {
                "cognito_identity_id": identity.get("cognitoIdentityId"),
                "cognito_identity_pool_id": identity.get("cognitoIdentityPoolId"),
            }
        )

    def get_remaining_time_in_millis(self):
        return max(0, self._deadline_ms - int(time.time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        names = (
            "aws_request_id",
            "log_group_name",
            "log_stream_name",
            "function_name",
            "memory_limit_in_mb",
            "function_version",
            "invoked_function_arn",
            "client_context",
            "identity",
            "tenant_id",
        )
        return "LambdaContext([%s])" % ",".join("%s=%s" % (n, getattr(self, n)) for n in names)


def json_header(headers, name, title):
    text = headers.get(name)
    if not text:
        return None
    try:
        return read_json(text.encode("utf-8"))
    except Exception as error:
        message = "Unable to parse %s JSON: %s" % (title, error)
        raise Fault("Runtime.LambdaContextUnmarshalError", message) from None


# --- logs ---------------------------------------------------------------------------------------


class Now:
    """The call that is being handled, for log lines."""

    request_id = ""


class LoggingArrives:
    """Waits for the first import of `logging` and then gives its root a handler."""

    def find_spec(self, name, path, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path)
            if spec is not None:
                spec.loader = LoggingLoader(spec.loader)
                return spec
        return None


class LoggingLoader:
    def __init__(self, loader):
        self.loader = loader

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        set_up_logging(module)


def set_up_logging(logging):
    class Handler(logging.Handler):
        def emit(self, record):
            record.aws_request_id = Now.request_id
            sys.stdout.write(self.format(record))

    handler = Handler()
    handler.setFormatter(
        logging.Formatter(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n",
            "%Y-%m-%dT%H:%M:%S",
        )
    )
    logging.Formatter.converter = time.gmtime
    root = logging.getLogger()
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL", "").upper()
    if level in ("DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "FATAL"):
        root.setLevel(level)
    root.addHandler(handler)


def log_error(error):
    """Writes an error as one line of the log: carriage returns keep it together."""
    lines = ["[ERROR]"]
    if error["errorType"]:
        lines[0] += " " + error["errorType"] + (":" if error["errorMessage"] else "")
    if error["errorMessage"]:
        lines[0] += " " + error["errorMessage"]
    lines.append("Traceback (most recent call last):")
    for entry in error["stackTrace"]:
        for line in entry.splitlines() or [""]:
            text = line.lstrip(" ")
            lines.append(IN_ERROR_LOGS_A_SPACE_IS * (len(line) - len(text)) + text)
    sys.stdout.write("\r".join(lines) + "\n")


# --- errors -------------------------------------------------------------------------------------


def describe(error, request_id=""):
    """Returns an error as the Runtime API writes it."""
    if isinstance(error, Fault):
        message, kind, trace = error.message, error.kind, error.trace
    else:
        message, kind, trace = str(error), type(error).__name__, stack_trace(error)
    return {
        "errorMessage": message or "",
        "errorType": kind or "",
        "requestId": request_id,
        "stackTrace": trace or [],
    }


def stack_trace(error):
    """Returns the frames from the first one of the handler on, formatted."""
    import traceback

    frames = list(traceback.extract_tb(error.__traceback__))
    foreign = (
        index
        for index, frame in enumerate(frames)
        if "/bootstrap.py" not in frame.filename and not frame.filename.startswith("<frozen ")
    )
    return traceback.format_list(frames[next(foreign, 0) :])


def post_error(hub, path, error):
    log_error(error)
    kind = error["errorType"].replace("\r", " ").replace("\n", " ")
    headers = [("Content-Type", JSON), ("Lambda-Runtime-Function-Error-Type", kind)]
    hub.post(path, Encoder().encode(error), headers)


# --- the handler --------------------------------------------------------------------------------


def find_handler(name):
    module_name, dot, function_name = name.rpartition(".")
    if not dot:
        reason = "not enough values to unpack (expected 2, got 1)"
        raise Fault("Runtime.MalformedHandlerName", "Bad handler '%s': %s" % (name, reason))
    module = load_module(module_name)
    try:
        return getattr(module, function_name)
    except AttributeError:
        message = "Handler '%s' missing on module '%s'" % (function_name, module_name)
        raise Fault("Runtime.HandlerNotFound", message) from None


def load_module(name):
    if name.split(".")[0] in sys.builtin_module_names:
        message = "Cannot use built-in module %s as a handler module" % name
        raise Fault("Runtime.BuiltInModuleConflict", message)
    path = name.replace("/", ".")
    try:
        __import__(path)
        return sys.modules[path]
    except ImportError as error:
        message = "Unable to import module '%s': %s" % (name, error)
        raise Fault("Runtime.ImportModuleError", message) from None
    except SyntaxError as error:
        trace = ['  File "%s" Line %s\n    %s' % (error.filename, error.lineno, error.text)]
        message = "Syntax error in module '%s': %s" % (name, error)
        raise Fault("Runtime.UserCodeSyntaxError", message, trace) from None


def set_search_path():
    """The function's own code first, then what its owner set, then layers, then the library."""
    version = "python%d.%d" % sys.version_info[:2]
    first = [os.environ.get("LAMBDA_TASK_ROOT", os.getcwd())]
    first += [path for path in os.environ.get("PYTHONPATH", "").split(":") if path]
    first += ["/opt/python/lib/%s/site-packages" % version, "/opt/python"]
    library = [path for path in sys.path if path not in first]
    sys.path[:] = list(dict.fromkeys(first)) + library


def serve(hub, handler):
    while True:
        headers, body = hub.next()
        request_id = Now.request_id = headers.get("lambda-runtime-aws-request-id", "")
        trace_id = headers.get("lambda-runtime-trace-id")
        if trace_id is not None:
            os.environ["_X_AMZN_TRACE_ID"] = trace_id
        else:
            os.environ.pop("_X_AMZN_TRACE_ID", None)
        path = "invocation/" + request_id
        try:
            context = LambdaContext(headers)
            event = unmarshal(body, headers.get("content-type"))
            result, content_type = marshal(handler(event, context))
        except Exception as error:
            description = describe(error, request_id)
            del error
            post_error(hub, path + "/error", description)
        else:
            sys.stdout.flush()
            hub.post(path + "/response", result, [("Content-Type", content_type)])
        # Nothing of this call shall be reachable in the next one.
        event = context = result = body = headers = None
        sys.stdout.flush()


def main():
    sys.stdout.reconfigure(line_buffering=True)
    sys.stderr.reconfigure(line_buffering=True)
    set_search_path()
    sys.meta_path.insert(0, LoggingArrives())
    hub = Hub(os.environ["AWS_LAMBDA_RUNTIME_API"])
    try:
        handler = find_handler(os.environ["_HANDLER"])
    except Exception as error:
        post_error(hub, "init/error", describe(error))
        sys.stdout.flush()
        sys.exit(1)
    serve(hub, handler)


if __name__ == "__main__":
    main()
