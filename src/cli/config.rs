//! `dropleaf config`.

use std::path::PathBuf;

use super::Failure;

/// Every setting with its default and what it means.
pub const DEFAULT: &str = include_str!("../../config/dropleaf.toml");

#[derive(clap::Args)]
pub struct Arguments {
    /// The documented defaults: the beginning of a settings file
    #[arg(long)]
    default: bool,
}

pub fn run(file: Option<PathBuf>, a: Arguments) -> Result<u8, Failure> {
    if a.default {
        print!("{DEFAULT}");
        return Ok(0);
    }
    let (config, source) = super::load(file)?;
    println!("# {}", super::named(&source));
    print!(
        "{}",
        toml::to_string_pretty(&config).map_err(|e| Failure::config(e.to_string()))?
    );
    Ok(0)
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn the_documented_defaults_are_the_defaults() {
        let documented: Config = toml::from_str(super::DEFAULT).unwrap();
        assert_eq!(documented, Config::default());
        // Every key is there, none is left to the default in silence.
        let all = toml::Value::try_from(Config::default()).unwrap();
        let written: toml::Value = toml::from_str(super::DEFAULT).unwrap();
        for (table, keys) in all.as_table().unwrap() {
            for key in keys.as_table().unwrap().keys() {
                assert!(
                    written[table].get(key).is_some(),
                    "{table}.{key} is not documented"
                );
            }
        }
    }
}
