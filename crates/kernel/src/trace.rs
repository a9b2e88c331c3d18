use std::fmt;
use std::str::FromStr;

/// A W3C trace context (Trace Context level 1, §3.2). One trace id identifies a request in all services.
///
/// Only version 00 is written. The flags are passed on unchanged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl Trace {
    /// Starts a new trace, for work that no request caused.
    pub fn start() -> Self {
        Self { trace: random(), span: random(), flags: 1 }
    }

    /// Returns the same trace with a new span, for the next hop.
    pub fn child(self) -> Self {
        Self { span: random(), ..self }
    }

    /// Returns the trace id as 32 lower-case hexadecimal digits, as in every log line.
    pub fn id(self) -> String {
        hex::encode(self.trace)
    }

    /// Returns the trace id and the span id as bytes (§3.2.2.3 and §3.2.2.4).
    pub const fn ids(self) -> ([u8; 16], [u8; 8]) {
        (self.trace, self.span)
    }

    /// Returns true if the caller asks to record the trace (§3.2.2.5.1).
    pub const fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    // Without a random source this process is not safe to run, so this may end it.
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    // An id of zeroes means "no trace" (§3.2.2.3).
    if bytes.iter().all(|byte| *byte == 0) {
        bytes[0] = 1;
    }
    bytes
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-{:02x}", hex::encode(self.trace), hex::encode(self.span), self.flags)
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is not a trace context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a traceparent")]
pub struct NotATrace;

impl FromStr for Trace {
    type Err = NotATrace;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = |part: &str| part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        let parts: Vec<&str> = text.split('-').collect();
        let [version, trace, span, flags, rest @ ..] = parts.as_slice() else { return Err(NotATrace) };
        let plain = rest.is_empty() || *version != "00";
        if !plain || *version == "ff" || version.len() != 2 || !parts.iter().take(4).all(|part| lower(part)) {
            return Err(NotATrace);
        }
        let mut read = Self { trace: [0; 16], span: [0; 8], flags: 0 };
        hex::decode_to_slice(trace, &mut read.trace).map_err(|_| NotATrace)?;
        hex::decode_to_slice(span, &mut read.span).map_err(|_| NotATrace)?;
        let mut bits = [0u8; 1];
        hex::decode_to_slice(flags, &mut bits).map_err(|_| NotATrace)?;
        read.flags = bits[0];
        if read.trace == [0; 16] || read.span == [0; 8] {
            return Err(NotATrace);
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_continues_with_the_same_id_and_a_new_span() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace: Trace = given.parse().expect("the example of the standard");
        assert_eq!(trace.to_string(), given);
        assert_eq!(trace.child().id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(trace.child(), trace);
    }

    #[test]
    fn a_header_that_the_standard_forbids_is_refused() {
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e47-00f067aa0ba902b7-01",
        ] {
            assert!(bad.parse::<Trace>().is_err(), "{bad}");
        }
    }
}
