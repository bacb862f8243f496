//! `dropleaf model bench`: how fast a model pack is on this machine, stage by stage.

use std::path::PathBuf;
use std::time::Instant;

use super::{CacheName, DeviceName, Failure, ModeName};
use crate::config::Device;
use crate::engine::deepseek::records::PATIENCE;
use crate::engine::deepseek::{DeepSeek, bench};
use crate::engine::session::{LIBRARY, RunError};

/// Tokens of one block of the cache: what a sequence takes is rounded up to it.
const BLOCK: usize = 256;
/// Tokens of an A4 page's prompt in tile mode at most (903 of the image, 10 of text).
const PAGE_PROMPT: usize = 1024;

#[derive(clap::Args)]
pub struct Arguments {
    /// A model pack: a folder under models/
    #[arg(value_name = "NAME")]
    model: String,
    #[arg(long, value_enum, help = "Where it runs")]
    device: Option<DeviceName>,
    #[arg(long, value_enum, help = "How keys and values are kept")]
    cache: Option<CacheName>,
    /// Sequences decoded together, one measurement each (default: 1,8,32,64,128,256; on the CPU 1,4)
    #[arg(
        long,
        value_name = "N,N,...",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    sequences: Vec<u16>,
    /// Tokens before each sequence's first one
    #[arg(long, value_name = "N", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..=8000))]
    context: u32,
    /// Tokens decoded of each sequence
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(4..=4096))]
    steps: u32,
    /// A4 pages read from image to text, 0 for none (default: 64; on the CPU 1)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pages: Option<u32>,
    /// Tokens of each of these pages
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=7000))]
    tokens: u32,
    #[arg(long, value_enum, help = "How a page image becomes views")]
    mode: Option<ModeName>,
}

pub fn run(file: Option<PathBuf>, a: Arguments) -> Result<u8, Failure> {
    let (mut config, _) = super::load(file)?;
    config.engine.name = crate::pack::DEEPSEEK_OCR.into();
    config.engine.model.clone_from(&a.model);
    if let Some(device) = a.device {
        config.engine.device = device.into();
    }
    if let Some(cache) = a.cache {
        config.deepseek.cache = cache.into();
    }
    if let Some(mode) = a.mode {
        config.deepseek.mode = mode.into();
    }
    // A cache for 256 sequences would not fit the memory of most machines without a GPU.
    let installation = super::installation(&config);
    let gpu = config.engine.device != Device::Cpu
        && installation.lib.join("cuda").join(LIBRARY).is_file();
    let sequences: &[u16] = match &a.sequences[..] {
        [] if gpu => &[1, 8, 32, 64, 128, 256],
        [] => &[1, 4],
        own => own,
    };
    let pages = a.pages.unwrap_or(if gpu { 64 } else { 1 }) as usize;
    let most = sequences.iter().copied().max().map_or(1, usize::from);
    let (context, steps) = (a.context as usize, a.steps as usize);
    let of_page = PAGE_PROMPT + a.tokens as usize;
    let each = (context + steps).max(if pages > 0 { of_page } else { 0 });
    config.deepseek.sequences = most;
    config.deepseek.max_tokens = config.deepseek.max_tokens.max(each);
    // On the CPU the cache is as large as this asks for; on CUDA as the memory allows.
    let cache = most * each.next_multiple_of(BLOCK);
    config.deepseek.cache_tokens = config.deepseek.cache_tokens.max(cache);
    config.validate().map_err(Failure::config)?;

    let began = Instant::now();
    let mut reader = DeepSeek::load(&installation.lib, &installation.models, &config)
        .map_err(|e| Failure::from(crate::agent::AgentError::from(e)))?;
    let mode = config.deepseek.mode;
    let failed = |e: RunError| Failure::machine(e);
    let model = reader.model();
    let (recorded, sizes) = model.decoder.records();
    println!(
        "{}: {} on {}, {} cache of {} tokens, steps of {recorded} of {sizes} sizes recorded, loaded in {:.1} s",
        a.model,
        crate::pack::DEEPSEEK_OCR,
        model.device,
        config.deepseek.cache.name(),
        model.cache_tokens(),
        began.elapsed().as_secs_f64()
    );
    // The first step of a measurement records its size, and the median passes it over.
    model.decoder.set_patience(1);
    println!("\ndecoding, {context} tokens of context, {steps} steps, varied tokens");
    println!("  sequences   ms a step    tokens/s   prefill tokens/s   experts used");
    for &sequences in sequences {
        let found = bench::decode(model, sequences.into(), context, steps).map_err(failed)?;
        let experts = match found.experts {
            Some(used) => format!("{used:.1} of {}", model.geometry.experts),
            None => "-".into(),
        };
        println!(
            "  {:>9} {:>11.3} {:>11.0} {:>18.0}   {experts}",
            found.sequences,
            found.step_ms,
            found.tokens_per_second(),
            found.prefill_tokens_per_second
        );
    }
    // Steps of a recorded size, and of one that is filled up to it.
    for sequences in [32, 30].into_iter().filter(|&n| n <= most) {
        if let Some(alike) = bench::agreement(model, sequences, context, steps).map_err(failed)? {
            println!(
                "  {sequences} sequences: {:.2} % of the tokens are those of steps without CUDA graphs",
                100.0 * alike
            );
        }
    }
    println!("\nvision");
    let (base, tile) = (model.geometry.base_side, model.geometry.tile_side);
    for (side, batch) in [(base, 1), (base, 4), (tile, 1), (tile, 12)] {
        let ms = bench::view(model, side as u32, batch).map_err(failed)?;
        println!("  a view of {side:>4}, {batch:>2} together: {ms:>8.2} ms");
    }
    for pages in [1, 4] {
        let ms = bench::page(model, mode, pages).map_err(failed)?;
        println!(
            "  an A4 page in the mode {}, {pages} together: {ms:.2} ms",
            mode.name()
        );
    }
    model.decoder.set_patience(PATIENCE);
    if pages > 0 {
        let seconds = bench::pages(&mut reader, pages, a.tokens as usize).map_err(failed)?;
        println!(
            "\n{pages} A4 pages in the mode {}, {} tokens each, image to text: {seconds:.1} s, {:.2} pages/s, {:.0} tokens/s",
            mode.name(),
            a.tokens,
            pages as f64 / seconds,
            pages as f64 * f64::from(a.tokens) / seconds
        );
    }
    if let Some((used, total)) = reader.model().device_memory() {
        let gib = |bytes: usize| bytes as f64 / f64::from(1 << 30);
        println!(
            "\ndevice memory in use {:.1} of {:.1} GiB",
            gib(used),
            gib(total)
        );
    }
    Ok(0)
}
