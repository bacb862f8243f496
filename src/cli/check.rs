//! `dropleaf check`: what is there, what is missing, what to do.

use std::path::PathBuf;

use super::{CONFIGURATION, Failure, MACHINE, Overrides};
use crate::agent;

#[derive(clap::Args)]
pub struct Arguments {
    /// Without hashing the models and reading a page
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    overrides: Overrides,
}

pub fn run(file: Option<PathBuf>, a: Arguments) -> Result<u8, Failure> {
    let (mut config, source) = super::load(file)?;
    a.overrides.apply(&mut config);
    config.validate().map_err(Failure::config)?;
    let installation = super::installation(&config);
    println!("settings   {}", super::named(&source));
    println!(
        "library    {}",
        super::runtime_library(&installation).display()
    );
    let mut worst = 0;
    for found in agent::check::check(&config, &installation, a.quick) {
        match found.fault {
            None => println!("ok         {}", found.what),
            Some(fault) => {
                println!("FAULT      {}: {}", found.what, fault.why);
                println!("           hint: {}", fault.hint);
                worst = worst.max(if fault.machine {
                    MACHINE
                } else {
                    CONFIGURATION
                });
            }
        }
    }
    Ok(worst)
}
