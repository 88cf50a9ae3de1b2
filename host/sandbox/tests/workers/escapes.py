"""Tries to get out of the environment it runs in, one way after the other.

Prints one line per attempt: its name, a tab, and what came of it - the name of the error, or what was
seen. The test that runs this knows what must come of each.
"""

import ctypes
import errno
import mmap
import os
import platform
import resource
import signal
import socket
import struct

libc = ctypes.CDLL(None, use_errno=True)
X86 = platform.machine() == "x86_64"

# Numbers of system calls: (x86-64, all newer architectures).
CALLS = {
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "move_mount": (429, 429), "open_tree": (428, 428), "fsopen": (430, 430),
    "mount_setattr": (442, 442), "unshare": (272, 97), "setns": (308, 268), "ptrace": (101, 117),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_getfd": (438, 438),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "syslog": (103, 116),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "reboot": (169, 142), "swapon": (167, 224), "acct": (163, 89),
    "quotactl": (179, 60), "fanotify_init": (300, 262), "sethostname": (170, 161),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "settimeofday": (164, 170),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "clone3": (435, 435),
}  # fmt: skip
CLONE = (56, 220)
NEW_NAMESPACES = {
    "user": 0x10000000, "mount": 0x20000, "pid": 0x20000000, "network": 0x40000000,
    "ipc": 0x8000000, "uts": 0x4000000, "cgroup": 0x2000000,
}  # fmt: skip


def number(pair):
    return pair[0] if X86 else pair[1]


def name_of(code):
    return errno.errorcode.get(code, str(code))


def call(pair, *arguments):
    arguments = [ctypes.c_long(argument) for argument in arguments] + [ctypes.c_long(0)] * 6
    if libc.syscall(ctypes.c_long(number(pair)), *arguments[:6]) < 0:
        return name_of(ctypes.get_errno())
    return "done"


def attempt(name, action):
    try:
        result = action()
    except OSError as error:
        result = name_of(error.errno)
    except ValueError as error:
        result = "ValueError: %s" % error
    print("%s\t%s" % (name, "done" if result is None else result), flush=True)


def in_child(action):
    """Runs something that may kill the process; returns the signal."""
    child = os.fork()
    if child == 0:
        action()
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return signal.Signals(os.WTERMSIG(status)).name if os.WIFSIGNALED(status) else "survived"


def write(path):
    with open(path, "a") as file:
        file.write("x")


def fill(folder):
    """Writes until it is refused. Bounded: gives up at 1 GiB."""
    path = os.path.join(folder, "filler")
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        for _ in range(1024):
            os.write(file, bytes(1 << 20))
        return "took 1 GiB"
    finally:
        os.close(file)
        os.unlink(path)


def fill_inodes(folder):
    """Makes files until it is refused. Bounded: gives up at 200000."""
    made = 0
    try:
        for made in range(200000):
            os.close(os.open("%s/f%d" % (folder, made), os.O_WRONLY | os.O_CREAT))
        return "made 200000 files"
    finally:
        for index in range(made):
            os.unlink("%s/f%d" % (folder, index))


def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        client.connect(address)


def send(address):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", address)


def resolve():
    try:
        socket.getaddrinfo("example.com", 80)
    except socket.gaierror:
        return "no answer"


def other_abi():
    """Calls getpid by the 32-bit interface: mov eax, 20; int 0x80; ret."""
    memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(bytes.fromhex("b814000000cd80c3"))
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ctypes.CFUNCTYPE(ctypes.c_int)(address)()


def push_into_terminal():
    import fcntl

    fcntl.ioctl(0, 0x5412, b"x")


def raise_limit():
    resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))


def status(field):
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith(field + ":"))


def run_set_user_id():
    """A copy of a program with the bit that would make it run as its owner, and the machine's own."""
    import subprocess

    os.system("cp /usr/bin/id /tmp/id && chmod 4755 /tmp/id")
    return subprocess.run(["/tmp/id", "-u"], stdout=subprocess.PIPE).stdout.decode().strip()


# What can be seen.
attempt("processes", lambda: sorted(int(n) for n in os.listdir("/proc") if n.isdigit()))
attempt("root folder", lambda: sorted(set(os.listdir("/")) - {"lib32", "libx32", "lib64"}))
attempt("devices", lambda: sorted(os.listdir("/dev")))
attempt("interfaces", lambda: [line.split(":")[0].strip() for line in open("/proc/net/dev") if ":" in line])
attempt("descriptors", lambda: sorted(os.listdir("/proc/self/fd")))
attempt("environment", lambda: sorted(os.environ))
attempt("host home", lambda: os.listdir("/root"))
attempt("sys", lambda: os.listdir("/sys"))
attempt("first process memory", lambda: open("/proc/1/mem", "r+b").close())
attempt("first process environment", lambda: open("/proc/1/environ").read())
attempt("kernel memory", lambda: open("/proc/kcore", "rb").close())
attempt("kernel log", lambda: open("/proc/kmsg", "rb").close())

# What can be written.
for path in ["/x", "/usr/x", "/etc/passwd", "/var/task/x", "/var/runtime/x", "/opt/x", "/dev/x"]:
    attempt("write " + path, lambda: write(path))
attempt("write core pattern", lambda: write("/proc/sys/kernel/core_pattern"))
attempt("write sysrq", lambda: write("/proc/sysrq-trigger"))
attempt("write own program", lambda: open("/proc/self/exe", "r+b").close())
attempt("write through link", lambda: os.symlink("/etc/passwd", "/tmp/link") or write("/tmp/link"))
attempt("fill tmp", lambda: fill("/tmp"))
attempt("fill shm", lambda: fill("/dev/shm"))
attempt("fill inodes", lambda: fill_inodes("/tmp"))

# The network.
attempt("connect to host", lambda: connect(socket.AF_INET, ("127.0.0.1", int(os.environ["HOST_PORT"]))))
attempt("connect outside", lambda: connect(socket.AF_INET, ("192.0.2.1", 80)))
attempt("connect outside v6", lambda: connect(socket.AF_INET6, ("2001:db8::1", 80)))
attempt("connect abstract", lambda: connect(socket.AF_UNIX, "\0" + os.environ["HOST_ABSTRACT"]))
attempt("send outside", lambda: send(("192.0.2.1", 53)))
attempt("resolve", resolve)
for family, value in [("packet", 17), ("netlink", 16), ("vsock", 40), ("alg", 38), ("bluetooth", 31)]:
    attempt("socket " + family, lambda: socket.socket(value, socket.SOCK_RAW).close())
attempt("raw socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close())

# System calls.
for name, pair in CALLS.items():
    attempt("call " + name, lambda: call(pair))
for name, flag in NEW_NAMESPACES.items():
    attempt("clone " + name, lambda: call(CLONE, flag | signal.SIGCHLD))
attempt("device node", lambda: os.mknod("/tmp/disk", 0o60660, os.makedev(254, 0)))
attempt("nice", lambda: os.nice(-20))
attempt("become root", lambda: os.setuid(0))
attempt("raise limit", raise_limit)
attempt("terminal", push_into_terminal)
attempt("set user id", run_set_user_id)
attempt("capabilities", lambda: status("CapEff") + status("CapPrm") + status("CapBnd"))
attempt("no new privileges", lambda: status("NoNewPrivs"))
attempt("kill host", lambda: os.kill(int(os.environ["HOST_PID"]), signal.SIGKILL))
attempt("kill first process", lambda: os.kill(1, signal.SIGKILL))
if X86:
    attempt("32-bit calls", lambda: in_child(other_abi))
    attempt("x32 calls", lambda: in_child(lambda: libc.syscall(ctypes.c_long(0x40000000 | 39))))
print("end\treached", flush=True)
