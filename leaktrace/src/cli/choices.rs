//! Values of options that more than one command has: formats of a report, lists of verdicts, permissions of a file. Reads text, and knows
//! no command.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use leaktrace_model::{Severity, Verdict, Verdicts};
use leaktrace_output::ReportFormat;

/// Parses the name of a report format. Help and completions list the names.
pub(super) fn report_formats() -> impl TypedValueParser<Value = ReportFormat> {
    PossibleValuesParser::new(ReportFormat::ALL.map(ReportFormat::name))
        .map(|name| ReportFormat::from_name(&name).unwrap_or_default())
}

/// Parses a verdict, a severity (it stands for all verdicts that are as severe or worse), or `any`.
pub(super) fn parse_fail_on(text: &str) -> Result<Verdicts, String> {
    if text == "any" {
        return Ok(Verdicts::at_least(Severity::Info));
    }
    for severity in [Severity::Leak, Severity::Suspect, Severity::Info] {
        if text == severity.name() {
            return Ok(Verdicts::at_least(severity));
        }
    }
    if let Some(verdict) = Verdict::from_name(text) {
        let mut set = Verdicts::NONE;
        set.insert(verdict);
        return Ok(set);
    }
    let names: Vec<&str> = Verdict::ALL.into_iter().map(Verdict::name).collect();
    Err(format!("expected any, leak, suspect, info, or one of {}", names.join(", ")))
}

/// Parses the permissions of a file, in octal as `chmod` takes them.
pub(super) fn parse_mode(text: &str) -> Result<u32, String> {
    let is_octal = text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
    mode.ok_or_else(|| "expected permissions in octal, from 0 to 777, such as 640 or 0644".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_severity_stands_for_itself_and_worse() {
        assert!(parse_fail_on("suspect").is_ok_and(|set| set.contains(Verdict::CloseWait)));
        assert!(parse_fail_on("leak").is_ok_and(|set| !set.contains(Verdict::Connecting)));
        assert!(parse_fail_on("never-read").is_ok_and(|set| set.iter().count() == 1));
        assert!(parse_fail_on("nonsense").is_err_and(|error| error.contains("never-read")));
    }

    #[test]
    fn permissions_are_octal_and_nothing_else() {
        assert_eq!(["644", "0640", "0", "0777"].map(parse_mode), [Ok(0o644), Ok(0o640), Ok(0), Ok(0o777)]);
        for text in ["", "+644", "-1", "648", "1777", "u+r", "0x1"] {
            assert!(parse_mode(text).is_err_and(|error| error.contains("octal")), "{text}");
        }
    }
}
