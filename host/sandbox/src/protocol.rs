//! The messages between the hub and its launcher: one packet each, numbers little-endian.
//!
//! Both ends are the same program, so there is no version. Still nothing is trusted: a packet that
//! ends early or holds an unknown tag is refused.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use crate::error::{SpawnError, Step};
use crate::spec::{Exit, ExitStatus, WorkerSpec};

/// Largest packet in bytes. A unix socket takes a little more by default.
pub(crate) const MAX_PACKET_BYTES: usize = 192 * 1024;

/// What the hub asks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// Start a worker; the runtime files lie in the given folder.
    Spawn { spec: Box<WorkerSpec>, runtime_folder: Option<PathBuf> },
    /// End a worker.
    Kill { id: u64 },
}

/// What the launcher says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Report {
    /// The launcher can start workers.
    Ready,
    /// The launcher cannot start workers and ends.
    Unable { reason: String },
    /// A worker runs; its three descriptors travel with this packet.
    Started { id: u64, pid: u32 },
    /// A worker does not run.
    Failed(SpawnError),
    /// A worker has ended.
    Exited(Exit),
}

/// A packet that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

pub(crate) fn encode_request(request: &Request) -> Vec<u8> {
    let mut out = Writer::default();
    match request {
        Request::Spawn { spec, runtime_folder } => {
            out.byte(1);
            write_spec(&mut out, spec);
            out.byte(u8::from(runtime_folder.is_some()));
            out.bytes(runtime_folder.as_deref().map_or(b"", |path| path.as_os_str().as_bytes()));
        }
        Request::Kill { id } => {
            out.byte(2);
            out.number(*id);
        }
    }
    out.0
}

pub(crate) fn decode_request(packet: &[u8]) -> Result<Request, Malformed> {
    let mut input = Reader(packet);
    let request = match input.byte()? {
        1 => {
            let spec = Box::new(read_spec(&mut input)?);
            let present = input.byte()? == 1;
            let path = PathBuf::from(OsString::from_vec(input.bytes()?));
            Request::Spawn { spec, runtime_folder: present.then_some(path) }
        }
        2 => Request::Kill { id: input.number()? },
        _ => return Err(Malformed),
    };
    input.end().map(|()| request)
}

/// Writes everything but the content of the runtime files, which travels as a folder.
fn write_spec(out: &mut Writer, spec: &WorkerSpec) {
    out.number(spec.id);
    out.bytes(spec.name.as_bytes());
    out.list(&spec.argv, |out, argument| out.bytes(argument.as_bytes()));
    out.list(&spec.env, |out, (name, value)| {
        out.bytes(name.as_bytes());
        out.bytes(value.as_bytes());
    });
    out.bytes(spec.code.as_os_str().as_bytes());
    out.list(&spec.extra_read_only, |out, path| out.bytes(path.as_os_str().as_bytes()));
    out.number(spec.memory);
    out.number(spec.cpu_millis.into());
    out.number(spec.max_processes.into());
    out.number(spec.tmp_bytes);
    out.number(spec.max_open_files);
}

fn read_spec(input: &mut Reader<'_>) -> Result<WorkerSpec, Malformed> {
    Ok(WorkerSpec {
        id: input.number()?,
        name: input.text()?,
        argv: input.list(Reader::os_string)?,
        env: input.list(|input| Ok((input.os_string()?, input.os_string()?)))?,
        code: input.os_string()?.into(),
        runtime_files: Vec::new(),
        extra_read_only: input.list(|input| input.os_string().map(PathBuf::from))?,
        memory: input.number()?,
        cpu_millis: input.small_number()?,
        max_processes: input.small_number()?,
        tmp_bytes: input.number()?,
        max_open_files: input.number()?,
    })
}

pub(crate) fn encode_report(report: &Report) -> Vec<u8> {
    let mut out = Writer::default();
    match report {
        Report::Ready => out.byte(1),
        Report::Unable { reason } => {
            out.byte(2);
            out.bytes(reason.as_bytes());
        }
        Report::Started { id, pid } => {
            out.byte(3);
            out.number(*id);
            out.number((*pid).into());
        }
        Report::Failed(error) => {
            out.byte(4);
            out.number(error.id);
            out.bytes(error.name.as_bytes());
            out.byte(error.step as u8);
            out.bytes(error.object.as_bytes());
            out.signed(error.errno);
        }
        Report::Exited(exit) => {
            out.byte(5);
            write_exit(&mut out, exit);
        }
    }
    out.0
}

pub(crate) fn decode_report(packet: &[u8]) -> Result<Report, Malformed> {
    let mut input = Reader(packet);
    let report = match input.byte()? {
        1 => Report::Ready,
        2 => Report::Unable { reason: input.text()? },
        3 => Report::Started { id: input.number()?, pid: input.small_number()? },
        4 => Report::Failed(SpawnError {
            id: input.number()?,
            name: input.text()?,
            step: Step::from_number(input.byte()?).ok_or(Malformed)?,
            object: input.text()?,
            errno: input.signed()?,
        }),
        5 => Report::Exited(read_exit(&mut input)?),
        _ => return Err(Malformed),
    };
    input.end().map(|()| report)
}

fn write_exit(out: &mut Writer, exit: &Exit) {
    out.number(exit.id);
    let (kind, value) = match exit.status {
        ExitStatus::Code(code) => (0, code),
        ExitStatus::Signal(signal) => (1, signal),
    };
    out.byte(kind);
    out.signed(value);
    out.byte(u8::from(exit.out_of_memory));
    out.byte(u8::from(exit.peak_memory.is_some()));
    out.number(exit.peak_memory.unwrap_or(0));
}

fn read_exit(input: &mut Reader<'_>) -> Result<Exit, Malformed> {
    let id = input.number()?;
    let (kind, value) = (input.byte()?, input.signed()?);
    let status = if kind == 0 { ExitStatus::Code(value) } else { ExitStatus::Signal(value) };
    let out_of_memory = input.byte()? == 1;
    let (known, peak) = (input.byte()? == 1, input.number()?);
    Ok(Exit { id, status, out_of_memory, peak_memory: known.then_some(peak) })
}

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    fn number(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    fn signed(&mut self, value: i32) {
        self.0.extend(value.to_le_bytes());
    }

    fn bytes(&mut self, value: &[u8]) {
        self.number(value.len() as u64);
        self.0.extend(value);
    }

    fn list<T>(&mut self, items: &[T], write: impl Fn(&mut Self, &T)) {
        self.number(items.len() as u64);
        items.iter().for_each(|item| write(self, item));
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take(&mut self, length: usize) -> Result<&[u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = tail;
        Ok(head)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        let bytes = self.take(8)?.try_into().map_err(|_| Malformed)?;
        Ok(u64::from_le_bytes(bytes))
    }

    fn small_number(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed)
    }

    fn signed(&mut self) -> Result<i32, Malformed> {
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
        Ok(i32::from_le_bytes(bytes))
    }

    fn bytes(&mut self) -> Result<Vec<u8>, Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        self.take(length).map(<[u8]>::to_vec)
    }

    fn text(&mut self) -> Result<String, Malformed> {
        String::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    fn os_string(&mut self) -> Result<OsString, Malformed> {
        self.bytes().map(OsString::from_vec)
    }

    fn list<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.number()?;
        (0..count).map(|_| read(self)).collect()
    }

    fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> WorkerSpec {
        WorkerSpec {
            id: 7,
            name: "regulate".into(),
            argv: vec!["/usr/bin/python3".into(), "".into()],
            env: vec![("A".into(), "b=c".into()), ("B".into(), OsString::from_vec(vec![0xff]))],
            code: "/srv/code".into(),
            runtime_files: Vec::new(),
            extra_read_only: vec!["/root/.pyenv".into()],
            memory: 1 << 40,
            cpu_millis: 250,
            max_processes: 64,
            tmp_bytes: 1 << 26,
            max_open_files: 1024,
        }
    }

    fn reports() -> Vec<Report> {
        let exit = |status, peak_memory| Exit { id: 1, status, out_of_memory: true, peak_memory };
        vec![
            Report::Ready,
            Report::Unable { reason: "no".into() },
            Report::Started { id: u64::MAX, pid: u32::MAX },
            Report::Failed(SpawnError {
                id: 3,
                name: "f".into(),
                step: Step::Timeout,
                object: "/a on /b".into(),
                errno: -1,
            }),
            Report::Exited(exit(ExitStatus::Signal(9), Some(5))),
            Report::Exited(exit(ExitStatus::Code(3), None)),
        ]
    }

    #[test]
    fn requests_read_what_they_write() {
        for runtime_folder in [None, Some(PathBuf::from("/srv/runtime"))] {
            let spawn = Request::Spawn { spec: Box::new(spec()), runtime_folder };
            assert_eq!(decode_request(&encode_request(&spawn)), Ok(spawn));
        }
        let kill = Request::Kill { id: 9 };
        assert_eq!(decode_request(&encode_request(&kill)), Ok(kill));
    }

    #[test]
    fn reports_read_what_they_write() {
        for report in reports() {
            assert_eq!(decode_report(&encode_report(&report)), Ok(report));
        }
    }

    #[test]
    fn a_packet_cut_short_or_too_long_is_refused() {
        let whole =
            encode_request(&Request::Spawn { spec: Box::new(spec()), runtime_folder: None });
        for length in 0..whole.len() {
            assert_eq!(decode_request(&whole[..length]), Err(Malformed), "{length} bytes");
        }
        assert_eq!(decode_request(&[whole.as_slice(), b"x"].concat()), Err(Malformed));
        for report in reports() {
            let whole = encode_report(&report);
            for length in 0..whole.len() {
                assert_eq!(decode_report(&whole[..length]), Err(Malformed), "{report:?}");
            }
        }
    }

    #[test]
    fn every_step_is_found_by_its_number() {
        for step in Step::ALL {
            assert_eq!(Step::from_number(*step as u8), Some(*step));
        }
        assert_eq!(Step::from_number(u8::MAX), None);
    }
}
