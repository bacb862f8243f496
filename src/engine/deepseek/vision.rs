//! From views to image rows: the vision graph over batches of views of one size.
//!
//! The graph holds SAM, CLIP and the projector. What depends on a view's size alone (the resized
//! position tables of both towers) was computed at import, is loaded once, and on CUDA copied to the
//! device once: 13 MB for a view of 1024.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use half::bf16;
use safetensors::{Dtype, SafeTensors};

use super::preprocess::{View, Views};
use crate::engine::EngineError;
use crate::engine::session::{self, Data, Graph, Locked, RunError};
use crate::pack::Geometry;

/// The graph's inputs that a view's size decides, and the names of their tables.
const TABLES: [&str; 3] = ["sam_positions", "sam_relative", "clip_positions"];

/// Projected rows of a page or of a view: what takes the place of image tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    /// Elements of a row.
    pub width: usize,
    pub elements: Elements,
}

/// In the type in which the decoder computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Elements {
    F32(Vec<f32>),
    Bf16(Vec<bf16>),
}

impl Rows {
    /// `count` rows of zeros, of the type of `like`.
    fn zeros(like: &Data<'_>, width: usize, count: usize) -> Result<Self, RunError> {
        let elements = match like {
            Data::F32(_) => Elements::F32(vec![0.0; count * width]),
            Data::Bf16(_) => Elements::Bf16(vec![bf16::ZERO; count * width]),
            _ => return Err(RunError("image rows of an unexpected type".into())),
        };
        Ok(Self { width, elements })
    }

    /// Takes over `elements` of `data` from row `at` on.
    fn put(&mut self, at: usize, data: &Data<'_>, elements: Range<usize>) {
        let place = at * self.width..at * self.width + elements.len();
        match (&mut self.elements, data) {
            (Elements::F32(to), Data::F32(from)) => to[place].copy_from_slice(&from[elements]),
            (Elements::Bf16(to), Data::Bf16(from)) => to[place].copy_from_slice(&from[elements]),
            _ => {}
        }
    }

    pub fn len(&self) -> usize {
        match &self.elements {
            Elements::F32(e) => e.len() / self.width.max(1),
            Elements::Bf16(e) => e.len() / self.width.max(1),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn to_f32(&self) -> Vec<f32> {
        match &self.elements {
            Elements::F32(e) => e.clone(),
            Elements::Bf16(e) => e.iter().map(|v| v.to_f32()).collect(),
        }
    }
}

/// A table with its shape, row-major.
struct Table {
    shape: Vec<i64>,
    data: Vec<f32>,
}

/// Everything that the vision graph computes for one view, in 32-bit floats: for comparisons.
#[derive(Clone, Debug, PartialEq)]
pub struct Stages {
    /// `[channels, G/4, G/4]`
    pub sam: Vec<f32>,
    /// `[1 + (G/4)^2, width]`
    pub clip: Vec<f32>,
    /// `[(G/4)^2, hidden]`
    pub projected: Vec<f32>,
}

pub struct Vision {
    /// What runs the batches.
    pub graph: Box<dyn Graph>,
    /// Tables by side of a view.
    tables: BTreeMap<usize, [Table; 3]>,
    /// By side of a view: whether the graph holds its tables.
    held: BTreeMap<usize, bool>,
    /// Width of a projected row.
    hidden: usize,
    /// Pixels of a view's side for each of its rows of image tokens.
    stride: usize,
    /// Pixels of the views of one run at most; one view always goes.
    pixels: usize,
    /// Views of the last run, one after the other: memory that the next one needs again.
    batch: Option<Locked>,
    /// Time that putting views one after the other has taken.
    laying: Duration,
}

/// Threads that put the views of a run one after the other: one alone takes 4 ms for a page.
const COPIERS: usize = 4;
/// Bytes of views from which on it is worth starting them.
const LARGE: usize = 4 << 20;

/// Puts views of one size one after the other.
fn put_together(views: &[&View], batch: &mut [u8]) {
    let Some(view) = views.first() else { return };
    let size = view.rgb.len();
    let copy = |views: &[&View], batch: &mut [u8]| {
        for (view, place) in views.iter().zip(batch.chunks_exact_mut(size)) {
            place.copy_from_slice(&view.rgb);
        }
    };
    if batch.len() < LARGE {
        return copy(views, batch);
    }
    let share = views.len().div_ceil(COPIERS);
    std::thread::scope(|scope| {
        for (views, batch) in views.chunks(share).zip(batch.chunks_mut(share * size)) {
            scope.spawn(move || copy(views, batch));
        }
    });
}

impl Vision {
    /// `positions` is the pack's file of tables; `pixels` bounds the views of one run.
    pub fn new(
        graph: Box<dyn Graph>,
        positions: &Path,
        geometry: &Geometry,
        pixels: usize,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            graph,
            tables: tables(positions, geometry)?,
            held: BTreeMap::new(),
            hidden: geometry.hidden,
            stride: geometry.view_stride.max(1),
            pixels,
            batch: None,
            laying: Duration::ZERO,
        })
    }

    /// Time that putting views one after the other has taken since this was asked last.
    pub fn take_laying(&mut self) -> Duration {
        std::mem::take(&mut self.laying)
    }

    /// Pixels of the views of one run at most.
    pub fn pixels(&self) -> usize {
        self.pixels
    }

    /// Halves what a run may hold, after one that needed too much memory. False when a run holds
    /// no more than one view of any size.
    pub fn shrink(&mut self) -> bool {
        let smallest = self.tables.keys().next().map_or(0, |side| side * side);
        self.pixels /= 2;
        self.pixels >= smallest
    }

    /// The rows of each view, in the order of `views`; views of one size run together.
    pub fn project(&mut self, views: &[&View]) -> Result<Vec<Rows>, RunError> {
        let places: Vec<_> = (0..views.len()).map(|i| (i, 0)).collect();
        let counts: Vec<_> = views.iter().map(|view| self.rows_of(view)).collect();
        self.project_to(views, &places, &counts)
    }

    /// The rows of each page: of its tiles in row order, then of its global view.
    pub fn pages(&mut self, pages: &[&Views]) -> Result<Vec<Rows>, RunError> {
        let (mut views, mut places, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (i, page) in pages.iter().enumerate() {
            let mut count = 0;
            for view in page.tiles.iter().chain([&page.global]) {
                views.push(view);
                places.push((i, count));
                count += self.rows_of(view);
            }
            counts.push(count);
        }
        self.project_to(&views, &places, &counts)
    }

    /// Image rows of a view.
    fn rows_of(&self, view: &View) -> usize {
        let side = view.side as usize / self.stride;
        side * side
    }

    /// The rows of `views`, put together: those of each view go to what `places` says of it, a place
    /// of the result and the first row there. `counts` are the rows of each place.
    fn project_to(
        &mut self,
        views: &[&View],
        places: &[(usize, usize)],
        counts: &[usize],
    ) -> Result<Vec<Rows>, RunError> {
        let mut out: Vec<Option<Rows>> = vec![None; counts.len()];
        let mut by_side: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (i, view) in views.iter().enumerate() {
            by_side.entry(view.side as usize).or_default().push(i);
        }
        for (side, all) in by_side {
            let most = (self.pixels / (side * side).max(1)).max(1);
            // Runs of like size: a small one takes the host as long as a large one.
            let batch = all.len().div_ceil(all.len().div_ceil(most));
            for chosen in all.chunks(batch) {
                let batch: Vec<&View> = chosen.iter().map(|&i| views[i]).collect();
                let (hidden, rows) = (self.hidden, self.rows_of(batch[0]));
                self.run(side, &batch, &["projected"], &mut |found| {
                    let projected = found.first().ok_or_else(|| shape_fault("projected"))?;
                    let shape = [chosen.len(), rows, hidden].map(|d| d as i64);
                    if projected.shape != shape {
                        return Err(shape_fault("projected"));
                    }
                    let size = rows * hidden;
                    for (k, &i) in chosen.iter().enumerate() {
                        let (place, at) = places[i];
                        let rows = match &mut out[place] {
                            Some(rows) => rows,
                            none => {
                                none.insert(Rows::zeros(&projected.data, hidden, counts[place])?)
                            }
                        };
                        rows.put(at, &projected.data, k * size..(k + 1) * size);
                    }
                    Ok(())
                })?;
            }
        }
        out.into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| shape_fault("projected"))
    }

    /// All stages of one view.
    pub fn stages(&mut self, view: &View) -> Result<Stages, RunError> {
        let mut out = None;
        let names = ["sam", "clip", "projected"];
        self.run(view.side as usize, &[view], &names, &mut |found| {
            let floats = |i: usize| match found[i].data {
                Data::F32(data) => Ok(data.to_vec()),
                Data::Bf16(data) => Ok(data.iter().map(|v| v.to_f32()).collect()),
                _ => Err(shape_fault(names[i])),
            };
            out = Some(Stages {
                sam: floats(0)?,
                clip: floats(1)?,
                projected: floats(2)?,
            });
            Ok(())
        })?;
        out.ok_or_else(|| shape_fault("sam"))
    }

    fn run(
        &mut self,
        side: usize,
        views: &[&View],
        outputs: &[&str],
        take: &mut dyn FnMut(&[session::View<'_>]) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let tables = self.tables.get(&side).ok_or_else(|| {
            RunError(format!(
                "the model pack has no position tables for views of {side} pixels"
            ))
        })?;
        let bytes = views.len() * side * side * 3;
        if views
            .iter()
            .any(|view| view.rgb.len() * views.len() != bytes)
        {
            return Err(RunError(format!(
                "a view is not {side} pixels wide and high"
            )));
        }
        let batch = match self.batch.take() {
            Some(batch) if batch.len() >= bytes => batch,
            // Room for the largest run: pages of a book alternate.
            _ => self.graph.locked(bytes.max(self.pixels * 3)),
        };
        let pixels = &mut self.batch.insert(batch).bytes()[..bytes];
        let began = Instant::now();
        put_together(views, pixels);
        self.laying += began.elapsed();
        let pixels = &*pixels;
        let shape = [views.len() as i64, side as i64, side as i64, 3];
        let views = ("views", session::View::new(&shape, pixels));
        let tables: Vec<_> = TABLES
            .iter()
            .zip(tables)
            .map(|(&name, table)| (name, session::View::new(&table.shape, &table.data)))
            .collect();
        let held = match self.held.get(&side) {
            Some(&held) => held,
            None => {
                let held = self.graph.hold(side, &tables)?;
                self.held.insert(side, held);
                held
            }
        };
        let mut taken = Ok(());
        let mut take = |found: &[session::View<'_>]| taken = take(found);
        if held {
            self.graph.run_with(side, &[views], outputs, &mut take)?;
        } else {
            let inputs: Vec<_> = [views].into_iter().chain(tables).collect();
            self.graph.run(&inputs, outputs, &mut take)?;
        }
        taken
    }
}

fn shape_fault(output: &str) -> RunError {
    RunError(format!(
        "the vision model's output \"{output}\" has an unexpected shape"
    ))
}

/// Reads the tables of every size and compares their shapes with the model's measures.
fn tables(path: &Path, geometry: &Geometry) -> Result<BTreeMap<usize, [Table; 3]>, EngineError> {
    let fault = |why: String| EngineError::Config {
        what: path.display().to_string(),
        why,
        hint: "import the checkpoint again: dropleaf model import DIR --force".into(),
    };
    let bytes = std::fs::read(path).map_err(|e| fault(e.to_string()))?;
    let stored = SafeTensors::deserialize(&bytes).map_err(|e| fault(e.to_string()))?;
    let mut out = BTreeMap::new();
    let mut names = stored.names();
    names.sort_unstable();
    for name in names {
        let Some(side) = name
            .strip_prefix(TABLES[0])
            .and_then(|n| n.strip_prefix('.')?.parse::<usize>().ok())
        else {
            continue;
        };
        let patches = side / geometry.sam_patch;
        let tokens = side / geometry.view_stride;
        let shapes: [Vec<usize>; 3] = [
            vec![patches, patches, geometry.sam_width],
            vec![
                geometry.sam_global_layers,
                2,
                (2 * patches).saturating_sub(1),
                geometry.sam_head_dim,
            ],
            vec![1 + tokens * tokens, geometry.clip_width],
        ];
        let table = |kind: usize| -> Result<Table, EngineError> {
            let name = format!("{}.{side}", TABLES[kind]);
            let tensor = stored
                .tensor(&name)
                .map_err(|e| fault(format!("\"{name}\": {e}")))?;
            if tensor.dtype() != Dtype::F32 || tensor.shape() != shapes[kind] {
                return Err(fault(format!(
                    "\"{name}\" is {:?} {:?}, not F32 {:?}",
                    tensor.dtype(),
                    tensor.shape(),
                    shapes[kind]
                )));
            }
            let (values, _) = tensor.data().as_chunks::<4>();
            Ok(Table {
                shape: tensor.shape().iter().map(|&d| d as i64).collect(),
                data: values.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            })
        };
        out.insert(side, [table(0)?, table(1)?, table(2)?]);
    }
    if out.is_empty() {
        return Err(fault(format!("it holds no table \"{}.*\"", TABLES[0])));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use safetensors::serialize_to_file;
    use safetensors::tensor::TensorView;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::engine::deepseek::fixtures;

    /// Rows of each view: its first byte and a tenth more a row, and the first element of each table.
    struct First(Arc<Mutex<Vec<Vec<i64>>>>);

    impl Graph for First {
        fn run(
            &mut self,
            inputs: &[(&str, session::View<'_>)],
            outputs: &[&str],
            take: &mut dyn FnMut(&[session::View<'_>]),
        ) -> Result<(), RunError> {
            assert_eq!(outputs, ["projected"]);
            let (name, views) = inputs[0];
            let Data::U8(bytes) = views.data else {
                panic!("{name}")
            };
            self.0.lock().unwrap().push(views.shape.to_vec());
            let mut out = Vec::new();
            let rows = (views.shape[1] / 64).pow(2);
            for view in bytes.chunks(bytes.len() / views.shape[0] as usize) {
                for row in 0..rows {
                    out.push(f32::from(view[0]) + row as f32 / 10.0);
                    out.extend(inputs[1..].iter().map(|(_, table)| table.f32()[0]));
                }
            }
            take(&[session::View::new(&[views.shape[0], rows, 4], &out)]);
            Ok(())
        }
    }

    fn geometry() -> Geometry {
        let mut geometry = fixtures::published();
        (geometry.hidden, geometry.sam_width, geometry.clip_width) = (4, 2, 3);
        (geometry.sam_global_layers, geometry.sam_head_dim) = (1, 2);
        geometry
    }

    /// Tables of two sizes, filled with 64.1 and so on; `spoilt` is left out.
    fn positions(folder: &Path, spoilt: &str) -> std::path::PathBuf {
        let mut stored = Vec::new();
        for side in [64usize, 128] {
            let grid = side / 16;
            let shapes = [
                ("sam_positions", vec![grid, grid, 2]),
                ("sam_relative", vec![1, 2, 2 * grid - 1, 2]),
                ("clip_positions", vec![1 + grid * grid / 16, 3]),
            ];
            for (i, (name, shape)) in shapes.into_iter().enumerate() {
                let count: usize = shape.iter().product();
                let value = side as f32 + (i + 1) as f32 / 10.0;
                stored.push((
                    format!("{name}.{side}"),
                    shape,
                    value.to_le_bytes().repeat(count),
                ));
            }
        }
        let views =
            stored
                .iter()
                .filter(|(name, ..)| name != spoilt)
                .map(|(name, shape, bytes)| {
                    let view = TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap();
                    (name.clone(), view)
                });
        let path = folder.join("positions.safetensors");
        serialize_to_file(views, None, &path).unwrap();
        path
    }

    #[test]
    fn views_of_one_size_run_together_and_keep_their_order() {
        let folder = tempfile::tempdir().unwrap();
        let ran = Arc::new(Mutex::new(Vec::new()));
        let graph = Box::new(First(Arc::clone(&ran)));
        let path = positions(folder.path(), "");
        let mut vision = Vision::new(graph, &path, &geometry(), 2 * 64 * 64).unwrap();
        let view = |side: u32, first: u8| View {
            side,
            rgb: vec![first; (side * side * 3) as usize],
        };
        let views = [view(64, 1), view(128, 2), view(64, 3), view(64, 4)];
        let rows = vision.project(&views.iter().collect::<Vec<_>>()).unwrap();
        let rows: Vec<_> = rows.iter().map(Rows::to_f32).collect();
        assert_eq!(rows[0], [1.0, 64.1, 64.2, 64.3]);
        assert_eq!(
            rows[1][..8],
            [2.0, 128.1, 128.2, 128.3, 2.1, 128.1, 128.2, 128.3]
        );
        assert_eq!(rows[1].len(), 4 * 4);
        assert_eq!(rows[2][0], 3.0);
        assert_eq!(rows[3][0], 4.0);
        let shapes = [[2, 64, 64, 3], [1, 64, 64, 3], [1, 128, 128, 3]];
        assert_eq!(*ran.lock().unwrap(), shapes);

        // Pages: their tiles, then the global view.
        let page = |first: u8| Views {
            tiles: vec![view(64, first), view(64, first + 1)],
            grid: (2, 1),
            global: view(128, first + 2),
        };
        ran.lock().unwrap().clear();
        vision.pixels = 3 * 64 * 64;
        let pages = vision.pages(&[&page(10), &page(20)]).unwrap();
        let firsts = |rows: &Rows| -> Vec<f32> { rows.to_f32().chunks(4).map(|r| r[0]).collect() };
        assert_eq!(firsts(&pages[0]), [10.0, 11.0, 12.0, 12.1, 12.2, 12.3]);
        assert_eq!(firsts(&pages[1]), [20.0, 21.0, 22.0, 22.1, 22.2, 22.3]);
        // Two runs of two tiles, not one of three and one of one.
        let counts: Vec<_> = ran.lock().unwrap().iter().map(|shape| shape[0]).collect();
        assert_eq!(counts, [2, 2, 1, 1]);
        vision.pixels = 2 * 64 * 64;

        // Half of it still holds one view of 64; a quarter holds none that could be left out.
        assert!(vision.shrink() && !vision.shrink());
        assert!(
            vision
                .project(&[&view(256, 0)])
                .unwrap_err()
                .0
                .contains("256")
        );
    }

    #[test]
    fn tables_that_do_not_fit_the_model_are_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = positions(folder.path(), "sam_relative.128");
        let fault = |geometry: &Geometry| {
            let graph = Box::new(First(Arc::default()));
            Vision::new(graph, &path, geometry, 1)
                .map(drop)
                .unwrap_err()
                .to_string()
        };
        assert!(fault(&geometry()).contains("sam_relative.128"));
        positions(folder.path(), "");
        let mut other = geometry();
        other.clip_width = 5;
        assert!(
            fault(&other).contains("clip_positions"),
            "{}",
            fault(&other)
        );
        std::fs::write(&path, b"none").unwrap();
        assert!(fault(&geometry()).contains("positions.safetensors"));
    }
}
