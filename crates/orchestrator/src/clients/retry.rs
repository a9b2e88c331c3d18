//! Failures that a retry may mend.

use kernel::{Kind, Refusal};

/// The section has waited for the requested version and does not have it yet.
const NOT_YET_PROJECTED: &str = "not_yet_projected";
/// The section has no room for one more comparison.
const BUSY: &str = "busy";

/// Returns true if the section works well although it is unavailable for this request. Another attempt would
/// not help, and neither would a pause for the section.
pub(super) fn is_well(refusal: &Refusal) -> bool {
    [NOT_YET_PROJECTED, BUSY].contains(&refusal.code.as_str())
}

/// Returns true if another attempt may succeed.
pub(super) fn may_pass(refusal: &Refusal) -> bool {
    refusal.kind == Kind::Unavailable && !is_well(refusal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unavailable_section_that_does_not_work_well_may_recover() {
        for kind in Kind::ALL {
            let refusal = Refusal::new(kind, "some_code", "The section failed.");
            assert_eq!(may_pass(&refusal), kind == Kind::Unavailable, "{kind:?}");
        }
        for code in [NOT_YET_PROJECTED, BUSY] {
            assert!(!may_pass(&Refusal::new(Kind::Unavailable, code, "The section works well.")), "{code}");
        }
    }
}
