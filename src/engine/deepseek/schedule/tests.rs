//! A model whose next token is a hash of everything that it sees of its sequence through the paged
//! cache: one wrong block, place or slot changes everything that follows.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;

use super::*;
use crate::engine::deepseek::guard::Rule;

const BLOCK: usize = 4;
const EOS: u32 = 0;

fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// What the model keeps of a token: what it is, and where.
struct FakeModel {
    cache: Vec<Option<u64>>,
    vocabulary: u64,
}

impl FakeModel {
    fn new(blocks: usize, vocabulary: u64) -> Self {
        Self {
            cache: vec![None; blocks * BLOCK],
            vocabulary,
        }
    }

    fn run(&mut self, step: &Step) -> Vec<i64> {
        let (tokens, sequences) = (step.tokens(), step.sequences());
        assert_eq!(step.image_rows.len(), tokens);
        assert_eq!(step.slot_mapping.len(), tokens);
        assert_eq!(step.cumulative_lengths.len(), sequences + 1);
        assert_eq!(step.past_lengths.len(), sequences);
        let width = step.blocks_of_longest();
        assert_eq!(step.block_table.len(), sequences * width);
        let (mut queries, mut keys) = (0, 0);
        let mut seen_at: Vec<u64> = Vec::new();
        for s in 0..sequences {
            let from = step.cumulative_lengths[s] as usize;
            let to = step.cumulative_lengths[s + 1] as usize;
            let past = step.past_lengths[s] as usize;
            let table = &step.block_table[s * width..][..width];
            for t in from..to {
                let place = past + t - from;
                let content = match step.image_rows[t] {
                    -1 => (0, step.input_ids[t] as u64),
                    row @ 0..=1 => (1, row as u64),
                    row => {
                        let (key, i) = step.embeds[row as usize - 2];
                        (2, hash((key, i)))
                    }
                };
                self.cache[step.slot_mapping[t] as usize] = Some(hash((content, place)));
            }
            for t in from..to {
                let place = past + t - from;
                let seen: Vec<u64> = (0..=place)
                    .map(|p| {
                        let slot = table[p / BLOCK] as usize * BLOCK + p % BLOCK;
                        self.cache[slot].expect("every earlier token was written")
                    })
                    .collect();
                seen_at.push(hash(seen));
            }
            queries = queries.max(to - from);
            keys = keys.max(past + to - from);
        }
        assert_eq!(step.longest, (queries, keys));
        assert!(!step.logit_rows.is_empty() && !step.ban_values.is_empty());
        assert_eq!(step.ban_rows.len(), 2 * step.ban_values.len());
        let mut banned: HashMap<usize, Vec<i64>> = HashMap::new();
        for (pair, value) in step.ban_rows.chunks(2).zip(&step.ban_values) {
            if *value < 0.0 {
                banned.entry(pair[0] as usize).or_default().push(pair[1]);
            }
        }
        let choose = |(row, &t): (usize, &i64)| {
            let first = seen_at[t as usize];
            let banned = banned.get(&row).map_or(&[][..], |b| b);
            (0..)
                .map(|i| (first.wrapping_add(i) % self.vocabulary) as i64)
                .find(|token| !banned.contains(token))
                .unwrap()
        };
        step.logit_rows.iter().enumerate().map(choose).collect()
    }
}

fn request(
    key: Key,
    prompt: &[u32],
    rows: &[i64],
    max_tokens: usize,
    rule: Option<Rule>,
) -> Request {
    Request {
        key,
        prompt: prompt.to_vec(),
        image_rows: rows.to_vec(),
        settings: Settings {
            max_tokens,
            rule,
            watch_loops: true,
            stop: true,
        },
        forced: Vec::new(),
    }
}

fn limits(sequences: usize, step_tokens: usize, scores: usize) -> Limits {
    Limits {
        sequences,
        step_tokens,
        scores,
        positions: 500,
        eos: EOS,
    }
}

/// Runs until all have left; request `i` enters before step `entries[i]`.
fn run(
    schedule: &mut Schedule,
    model: &mut FakeModel,
    requests: &[(usize, Request)],
) -> BTreeMap<Key, Finished> {
    let mut out = BTreeMap::new();
    for now in 0.. {
        for (_, request) in requests.iter().filter(|(at, _)| *at == now) {
            schedule.enter(request.clone()).unwrap();
        }
        let (step, ended) = schedule.plan();
        out.extend(ended.into_iter().map(|f| (f.key, f)));
        match step {
            Some(step) => {
                assert!(step.tokens() <= schedule.limits.step_tokens);
                assert!(step.sequences() <= schedule.limits.sequences);
                let scores = step.tokens() * step.blocks_in_use() * BLOCK;
                assert!(scores <= schedule.limits.scores || step.tokens() == 1);
                let chosen = model.run(&step);
                out.extend(
                    schedule
                        .advance(&step, &chosen)
                        .into_iter()
                        .map(|f| (f.key, f)),
                );
            }
            None if requests.iter().all(|(at, _)| *at <= now) => break,
            None => {}
        }
        assert!(now < 100_000, "it never ends");
    }
    assert!(schedule.is_empty());
    assert_eq!(schedule.blocks.free() * BLOCK, schedule.blocks.capacity());
    out
}

/// Prompts with image places, maximal lengths and steps of entry.
fn pages() -> impl Strategy<Value = Vec<(Vec<u32>, usize, usize)>> {
    prop::collection::vec(
        (
            prop::collection::vec(1u32..30, 1..40),
            2usize..60,
            0usize..30,
        ),
        1..9,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// The same tokens alone and in any mix, with any cache that fits one page, any budget and
    /// any order of entry, put back or not.
    #[test]
    fn what_a_page_says_depends_on_the_page_alone(
        pages in pages(),
        spare in 0usize..30,
        sequences in 1usize..6,
        step_tokens in 1usize..50,
        scores in prop_oneof![Just(usize::MAX), 1usize..4000],
        vocabulary in prop_oneof![Just(3u64), Just(40)],
        size in 1usize..6,
        shrink_at in prop::option::of(0usize..20),
    ) {
        let rule = Rule { size, window: 12 };
        let requests: Vec<(usize, Request)> = pages
            .iter()
            .enumerate()
            .map(|(key, (prompt, more, at))| {
                let rows: Vec<i64> = (0..prompt.len() as i64).map(|i| (i % 7 - 1).max(-1)).collect();
                let max_tokens = prompt.len() + more;
                (*at, request(key as Key, prompt, &rows, max_tokens, Some(rule)))
            })
            .collect();
        let longest = requests.iter().map(|(_, r)| r.settings.max_tokens).max().unwrap();
        let blocks = longest.div_ceil(BLOCK);

        let mut alone = BTreeMap::new();
        for (_, request) in &requests {
            let mut schedule = Schedule::new(limits(1, 1000, usize::MAX), Blocks::new(blocks, BLOCK), vec![5]);
            let mut model = FakeModel::new(blocks, vocabulary);
            alone.extend(run(&mut schedule, &mut model, &[(0, request.clone())]));
        }
        let fits = alone.values().all(|f| !matches!(f.end, End::NoRoom { .. }));
        prop_assert!(fits, "the cache is made for the longest page");

        let blocks = blocks + spare;
        let mut schedule = Schedule::new(limits(sequences, step_tokens, scores), Blocks::new(blocks, BLOCK), vec![5]);
        let mut model = FakeModel::new(blocks, vocabulary);
        if let Some(steps) = shrink_at {
            for (_, request) in &requests {
                schedule.enter(request.clone()).unwrap();
            }
            let mut early = BTreeMap::new();
            for _ in 0..steps {
                if let (Some(step), _) = schedule.plan() {
                    let chosen = model.run(&step);
                    early.extend(schedule.advance(&step, &chosen).into_iter().map(|f| (f.key, f)));
                }
            }
            schedule.shrink();
            early.extend(run(&mut schedule, &mut model, &[]));
            prop_assert_eq!(early, alone);
        } else {
            prop_assert_eq!(run(&mut schedule, &mut model, &requests), alone);
        }
    }
}

/// Pages of different lengths, of which a few always wait, as the reader has it.
#[test]
fn newcomers_begin_together_and_few_places_stand_empty_for_it() {
    const PAGES: u64 = 1500;
    // Steps with prompts for each newcomer, and the share of places that stand empty, at most.
    for (sequences, begin, empty) in [(256, 0.26, 0.01), (128, 0.51, 0.01), (20, 1.0, 0.0)] {
        let blocks = Blocks::new(sequences * 40, BLOCK);
        let mut schedule = Schedule::new(limits(sequences, 8192, usize::MAX), blocks, vec![]);
        let (mut entered, mut ended) = (0, 0);
        let (mut steps, mut newcomers, mut beginning, mut unused) = (0, 0, 0, 0);
        while ended < PAGES {
            while entered < PAGES && schedule.waiting() < 4 {
                let mut request = request(entered, &[3; 9], &[], 400, None);
                request.forced = vec![5; 60 + (hash(entered) % 60) as usize];
                schedule.enter(request).unwrap();
                entered += 1;
            }
            let step = schedule.plan().0.unwrap();
            // Neither when it fills nor when it empties.
            if ended > 0 && entered < PAGES {
                let new = step.parts().iter().filter(|part| part.tokens > 1).count();
                steps += 1;
                newcomers += new;
                beginning += usize::from(new > 0);
                unused += sequences - step.sequences();
            }
            let chosen = vec![5; step.logit_rows.len()];
            ended += schedule.advance(&step, &chosen).len() as u64;
        }
        let found = beginning as f64 / newcomers as f64;
        assert!(found <= begin, "{sequences}: {found:.3}");
        let found = unused as f64 / (steps * sequences) as f64;
        assert!(found <= empty, "{sequences}: {found:.4}");
    }
}

#[test]
fn the_youngest_is_put_back_when_blocks_run_out() {
    let requests: Vec<(usize, Request)> = (0..4)
        .map(|key| (0, request(key, &[7, 8, 9], &[-1; 3], 60, None)))
        .collect();
    let mut schedule = Schedule::new(limits(4, 16, usize::MAX), Blocks::new(15, BLOCK), vec![]);
    let out = run(&mut schedule, &mut FakeModel::new(15, 1_000_000), &requests);
    assert!(schedule.put_back() > 0);
    assert_eq!(out.len(), 4);
    assert!(
        out.values()
            .all(|f| f.end == End::Truncated && f.output.len() == 57)
    );
    // Equal pages say the same.
    assert!(out.values().all(|f| f.output == out[&0].output));
}

#[test]
fn a_page_that_never_fits_says_so_and_the_others_go_on() {
    let mut schedule = Schedule::new(limits(4, 16, usize::MAX), Blocks::new(5, BLOCK), vec![]);
    let long = vec![1; 20];
    let refused = schedule
        .enter(request(1, &long, &[], 400, None))
        .unwrap_err();
    assert!(
        refused.to_string().contains("deepseek.cache_tokens"),
        "{refused}"
    );
    let refused = schedule
        .enter(request(1, &long, &[], 20, None))
        .unwrap_err();
    assert!(
        refused.to_string().contains("deepseek.max_tokens"),
        "{refused}"
    );
    let requests = [
        (0, request(2, &[1; 12], &[], 400, None)),
        (0, request(3, &[2; 4], &[], 8, None)),
    ];
    let out = run(&mut schedule, &mut FakeModel::new(5, 1_000_000), &requests);
    assert_eq!(out[&2].end, End::NoRoom { capacity: 20 });
    assert_eq!(out[&3].end, End::Truncated);
}

#[test]
fn a_cancelled_page_gives_its_blocks_back() {
    let mut schedule = Schedule::new(limits(2, 16, usize::MAX), Blocks::new(20, BLOCK), vec![]);
    let mut model = FakeModel::new(20, 1_000_000);
    for key in 0..3 {
        schedule
            .enter(request(key, &[3; 9], &[], 30, None))
            .unwrap();
    }
    let (step, _) = schedule.plan();
    let step = step.unwrap();
    assert!(schedule.cancel(0) && schedule.cancel(2) && !schedule.cancel(9));
    // The step that was under way when it was cancelled still counts for the other.
    let chosen = model.run(&step);
    assert!(schedule.advance(&step, &chosen).is_empty());
    let out = run(&mut schedule, &mut model, &[]);
    assert_eq!(out.keys().collect::<Vec<_>>(), [&1]);
}

#[test]
fn the_end_of_sentence_a_loop_and_forced_tokens_end_a_page() {
    let mut schedule = Schedule::new(limits(4, 64, usize::MAX), Blocks::new(400, BLOCK), vec![]);
    let mut forced = request(1, &[1, 2], &[], 400, None);
    forced.forced = vec![9, EOS, 9];
    forced.settings.stop = false;
    let mut stopped = request(2, &[1, 2], &[], 400, None);
    stopped.forced = vec![9, EOS, 9];
    let mut looped = request(3, &[1, 2], &[], 490, None);
    looped.forced = vec![9; 490];
    let requests = [(0, forced), (0, stopped), (0, looped)];
    let out = run(
        &mut schedule,
        &mut FakeModel::new(400, 1_000_000),
        &requests,
    );
    assert_eq!(out[&1].output, [9, EOS, 9]);
    assert_eq!(out[&1].end, End::Complete);
    assert_eq!(out[&1].chosen.len(), 3);
    assert_ne!(out[&1].chosen, out[&1].output);
    assert_eq!(out[&2].output, [9, EOS]);
    let End::Looped(found) = out[&3].end else {
        panic!("{:?}", out[&3].end)
    };
    assert_eq!((found.keep, found.period), (1, Some(1)));
    assert!(out[&3].output.len() < 450);
}
