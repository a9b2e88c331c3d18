use std::fmt;
use std::str::FromStr;

/// A W3C trace context (Trace Context level 1, §3.2): one trace id finds one click in every service.
///
/// Only version 00 is written; the flags are passed on as they came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    trace: [u8; 16],
    span: [u8; 8],
    flags: u8,
}

impl Trace {
    /// A new trace, for work that nobody asked for over the wire.
    pub fn start() -> Self {
        Self { trace: random(), span: random(), flags: 1 }
    }

    /// The same trace with a new span: what goes on to the next hop.
    pub fn child(self) -> Self {
        Self { span: random(), ..self }
    }

    /// The trace id as 32 lower-case hexadecimal digits, as it stands in every log line.
    pub fn id(self) -> String {
        hex::encode(self.trace)
    }

    /// The trace id and the span id, as bytes (§3.2.2.3 and §3.2.2.4).
    pub const fn ids(self) -> ([u8; 16], [u8; 8]) {
        (self.trace, self.span)
    }

    /// Whether the caller asks for the trace to be recorded (§3.2.2.5.1).
    pub const fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0u8; N];
    // Without a random source nothing in this process is safe to run, so this may end it.
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    // All zeroes means "no trace" (§3.2.2.3).
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

/// The text is no trace context that can be continued.
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
    fn a_trace_goes_on_under_the_same_id_with_a_new_span() {
        let given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let trace: Trace = given.parse().expect("the example of the standard");
        assert_eq!(trace.to_string(), given);
        assert_eq!(trace.child().id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_ne!(trace.child(), trace);
    }

    #[test]
    fn what_the_standard_forbids_is_no_trace() {
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
