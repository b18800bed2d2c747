//! libfaketime: a library that is loaded before a program's own and answers its questions for the
//! time of day from a file, which may change at any moment (`man 1 faketime`).
//!
//! It makes the wall clock of any target wrong whose program asks the C library. The steady clock is
//! left alone: the kernel waits by the real one whatever a program believes. A program that it has no
//! hold on is refused before anything starts, by what its file says of it (elf(5)): the clock of a
//! program that reads it elsewhere would be right, and nobody would notice.

use std::path::{Path, PathBuf};

use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64, PT_INTERP};
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _, SectionHeader as _};

use super::Unusable;
use super::clock::ClockControl;

/// Where distributions put the library; `LIBFAKETIME` names another place.
const PLACES: [&str; 5] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib64/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
    "/usr/local/lib/faketime/libfaketime.so.1",
];

/// The library, for a program that it has a hold on.
#[derive(Clone, Debug)]
pub(super) struct Faketime {
    library: PathBuf,
}

impl Faketime {
    /// Finds the library and looks at the program.
    ///
    /// # Errors
    ///
    /// [`Unusable`] without the library, and for a program whose clocks it cannot make wrong.
    pub(super) fn for_program(program: &Path) -> Result<Faketime, Unusable> {
        let bytes = std::fs::read(program).map_err(|error| Unusable {
            what: format!("cannot read {}: {error}", program.display()),
            help: "the program is read once, to see whether libfaketime has a hold on it".into(),
        })?;
        if let Some(why) = no_hold(&bytes) {
            return Err(Unusable {
                what: format!("libfaketime has no hold on {}: {why}", program.display()),
                help: "leave the faults of clocks out, or take a build against the shared glibc"
                    .to_string(),
            });
        }
        let named = std::env::var_os("LIBFAKETIME").map(PathBuf::from);
        let places = named.map_or_else(|| PLACES.map(PathBuf::from).to_vec(), |path| vec![path]);
        let library = places.iter().find(|place| place.is_file()).ok_or_else(|| Unusable {
            what: format!("libfaketime is not at {}", places[0].display()),
            help: "apt-get install libfaketime, or name the library in LIBFAKETIME".to_string(),
        })?;
        Ok(Faketime { library: library.clone() })
    }

    /// What a program must be started with so that this file tells it the time.
    pub(super) fn environment(&self, file: &Path) -> Vec<(String, String)> {
        let set = |name: &str, value: &str| (name.to_string(), value.to_string());
        vec![
            set("LD_PRELOAD", &self.library.display().to_string()),
            set("FAKETIME_TIMESTAMP_FILE", &file.display().to_string()),
            // It holds from the next reading on.
            set("FAKETIME_NO_CACHE", "1"),
            // The second is the name of versions before 0.9.9.
            set("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
            set("DONT_FAKE_MONOTONIC", "1"),
            // Times of files are the file system's.
            set("NO_FAKE_STAT", "1"),
        ]
    }
}

/// What the file says to make a wall clock wrong. Everything else of the control is not in its power
/// and refused before.
pub(super) fn words(control: &ClockControl) -> String {
    let ms = control.wall_offset_ms;
    let sign = if ms < 0 { '-' } else { '+' };
    let ms = ms.unsigned_abs();
    format!("{sign}{}.{:03}\n", ms / 1000, ms % 1000)
}

/// Why it cannot make a fault of this kind and form; `None` if it can, or it is no fault of clocks.
pub(super) fn refuses(kind: &str, form: &str) -> Option<String> {
    matches!((kind, form), ("clock-drift", _) | ("clock-jump", "steady")).then(|| {
        "libfaketime is told to leave the steady clock alone, by which timers run: the kernel waits \
         by the real one, whatever a program believes"
            .to_string()
    })
}

/// Why the library has no hold on the program of this file; `None` if it has.
fn no_hold(bytes: &[u8]) -> Option<String> {
    match of_elf(bytes) {
        Ok(why) => why,
        Err(_) => Some("it is no ELF file of 64 bits; name the program itself, no script".into()),
    }
}

fn of_elf(bytes: &[u8]) -> object::Result<Option<String>> {
    let why = |text: &str| Ok(Some(text.to_string()));
    let elf = FileHeader64::<Endianness>::parse(bytes)?;
    let endian = elf.endian()?;
    let sections = elf.sections(endian, bytes)?;
    let named = |name: &[u8]| {
        sections.iter().any(|section| sections.section_name(endian, section) == Ok(name))
    };
    if named(b".go.buildinfo") || named(b".note.go.buildid") {
        return why("it is a program in Go, which reads the clock past the C library");
    }
    let headers = elf.program_headers(endian, bytes)?;
    let interpreter = headers.iter().find(|header| header.p_type(endian) == PT_INTERP);
    let Some(interpreter) = interpreter else {
        return why("it is linked statically, so nothing can be loaded before its C library");
    };
    let interpreter = interpreter.data(endian, bytes).unwrap_or_default();
    if String::from_utf8_lossy(interpreter).contains("musl") {
        return why("its C library is musl, and libfaketime is made for glibc");
    }
    let mut needed = Vec::new();
    for section in sections.iter() {
        let Some((dynamic, strings)) = section.dynamic(endian, bytes)? else { continue };
        let strings = sections.strings(endian, bytes, strings)?;
        for entry in dynamic.iter().filter(|entry| entry.tag(endian) == DT_NEEDED) {
            needed.push(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned());
        }
    }
    if !needed.iter().any(|library| library.starts_with("libc.so.")) {
        return why("it does not load glibc (libc.so.6), and who knows whom it asks for the time");
    }
    // Two versions are known that ask for the time while they are being initialised, within
    // libfaketime's own start, which then gives up: "Unexpected recursive calls to clock_gettime()".
    if needed.iter().any(|library| library.starts_with("libjemalloc.")) {
        return why("it loads jemalloc, under which libfaketime does not come up");
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_says_is_an_offset_in_seconds() {
        let words = |wall_offset_ms| {
            let mut control = ClockControl::default();
            control.wall_offset_ms = wall_offset_ms;
            words(&control)
        };
        assert_eq!(words(0), "+0.000\n");
        assert_eq!(words(61_005), "+61.005\n");
        assert_eq!(words(-250), "-0.250\n");
    }

    #[test]
    fn this_program_asks_glibc_for_the_time() {
        let bytes = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(no_hold(&bytes), None);
    }

    #[test]
    fn a_script_is_refused_and_a_damaged_file_does_no_harm() {
        assert!(no_hold(b"#!/bin/sh\nexec store").unwrap().contains("no script"));
        let mut bytes = std::fs::read("/proc/self/exe").unwrap();
        bytes.truncate(4096);
        assert!(no_hold(&bytes).is_some());
    }

    /// This program with something of its file called differently, by a name of the same length.
    fn renamed(from: &[u8], to: &[u8]) -> Option<String> {
        let mut bytes = std::fs::read("/proc/self/exe").unwrap();
        assert_eq!(from.len(), to.len());
        let found = |bytes: &[u8]| bytes.windows(from.len()).position(|window| window == from);
        let mut at = 0;
        while let Some(next) = found(&bytes[at..]) {
            bytes[at + next..at + next + to.len()].copy_from_slice(to);
            at += next + to.len();
        }
        assert!(at > 0, "{} is not in this program", String::from_utf8_lossy(from));
        no_hold(&bytes)
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn programs_that_ask_elsewhere_are_refused_with_the_reason() {
        let why = renamed(b"\0.note.ABI-tag\0", b"\0.go.buildinfo\0").unwrap();
        assert!(why.starts_with("it is a program in Go"), "{why}");
        let why = renamed(b"/lib64/ld-linux-x86-64.so.2\0", b"/lib/ld-musl-x86_64.so.1\0\0\0\0");
        assert!(why.unwrap().starts_with("its C library is musl"));
        let why = renamed(b"\0libc.so.6\0", b"\0libd.so.6\0").unwrap();
        assert!(why.starts_with("it does not load glibc"), "{why}");
    }

    /// The smallest file with these program headers' types and no section.
    fn elf_without_interpreter() -> Vec<u8> {
        let mut header = vec![0_u8; 64];
        header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        header[16] = 2; // ET_EXEC
        header[18] = 62; // EM_X86_64
        header[20] = 1; // the version
        header[52] = 64; // its own size
        header[54] = 56; // of a program header
        header[58] = 64; // of a section header
        header
    }

    #[test]
    fn a_static_program_is_refused() {
        let why = no_hold(&elf_without_interpreter()).unwrap();
        assert!(why.contains("linked statically"), "{why}");
    }
}
