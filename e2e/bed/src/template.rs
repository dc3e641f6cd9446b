//! `${NAME}` in configuration files and manifests.

use anyhow::{Result, bail};

/// Replaces each `${NAME}`; a name without a value is an error.
pub(crate) fn filled(text: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        filled.push_str(before);
        let Some((name, after)) = after.split_once('}') else { bail!("${{ without an end") };
        let Some((_, value)) = values.iter().find(|(known, _)| *known == name) else {
            bail!("no value for ${{{name}}}");
        };
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::filled;

    #[test]
    fn names_are_replaced_and_a_lone_dollar_is_kept() {
        assert_eq!(filled("a ${X} $1 $(Y) ${X}", &[("X", "b")]).unwrap(), "a b $1 $(Y) b");
    }

    #[test]
    fn a_name_without_a_value_is_an_error() {
        assert!(filled("${NOPE}", &[]).is_err());
        assert!(filled("${", &[]).is_err());
    }
}
