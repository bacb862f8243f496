//! From views to image rows: the vision graph over batches of views of one size.
//!
//! The graph holds SAM, CLIP and the projector. What depends on a view's size alone (the resized
//! position tables of both towers) was computed at import, is loaded once, and on CUDA copied to the
//! device once: 13 MB for a view of 1024.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use safetensors::{Dtype, SafeTensors};

use super::preprocess::{View, Views};
use super::rows::{Elements, Rows, Stretch};
use crate::engine::EngineError;
use crate::engine::session::{self, Data, Graph, Part, PartType, RunError, Upload};
use crate::pack::Geometry;

/// The graph's inputs that a view's size decides, and the names of their tables.
const TABLES: [&str; 3] = ["sam_positions", "sam_relative", "clip_positions"];

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
}

/// A page as the vision graph gets it.
#[derive(Clone, Copy)]
pub struct Seen<'v> {
    pub views: &'v Views,
    /// The pixels of its views on the device, those of the tiles first, where they are there already.
    pub upload: Option<&'v Upload>,
}

impl<'v> From<&'v Views> for Seen<'v> {
    fn from(views: &'v Views) -> Self {
        let upload = None;
        Self { views, upload }
    }
}

/// A view of some page.
struct Piece<'v> {
    side: usize,
    pixels: Part<'v>,
}

impl<'v> Piece<'v> {
    fn of(view: &'v View) -> Self {
        Self {
            side: view.side as usize,
            pixels: Part::Host(&view.rgb),
        }
    }
}

/// Pixels of a page's views as they are uploaded: those of the tiles, then those of the global view.
pub fn pixels(views: &Views) -> Vec<&[u8]> {
    let views = views.tiles.iter().chain([&views.global]);
    views.map(|view| &view.rgb[..]).collect()
}

/// Frees the pixels of views that were uploaded.
pub fn forget_pixels(views: &mut Views) {
    for view in views.tiles.iter_mut().chain([&mut views.global]) {
        view.rgb = Vec::new();
    }
}

impl<'v> Seen<'v> {
    fn pieces(self) -> impl Iterator<Item = Piece<'v>> {
        let mut at = 0;
        let views = self.views.tiles.iter().chain([&self.views.global]);
        views.map(move |view| {
            let side = view.side as usize;
            let range = at..at + side * side * 3;
            at = range.end;
            let piece = Piece::of(view);
            match self.upload {
                None => piece,
                Some(upload) => Piece {
                    pixels: Part::Upload(upload, range),
                    ..piece
                },
            }
        })
    }
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
        })
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
        let pieces: Vec<_> = views.iter().map(|view| Piece::of(view)).collect();
        let places: Vec<_> = (0..views.len()).map(|i| (i, 0)).collect();
        let counts: Vec<_> = pieces.iter().map(|piece| self.rows_of(piece)).collect();
        self.project_to(&pieces, &places, &counts)
    }

    /// The rows of each page: of its tiles in row order, then of its global view.
    pub fn pages(&mut self, pages: &[Seen<'_>]) -> Result<Vec<Rows>, RunError> {
        let (mut pieces, mut places, mut counts) = (Vec::new(), Vec::new(), Vec::new());
        for (i, page) in pages.iter().enumerate() {
            let mut first = 0;
            for piece in page.pieces() {
                places.push((i, first));
                first += self.rows_of(&piece);
                pieces.push(piece);
            }
            counts.push(first);
        }
        self.project_to(&pieces, &places, &counts)
    }

    /// Image rows of a page.
    pub fn rows_of_page(&self, page: Seen<'_>) -> usize {
        page.pieces().map(|piece| self.rows_of(&piece)).sum()
    }

    /// Image rows of a view.
    fn rows_of(&self, piece: &Piece<'_>) -> usize {
        let side = piece.side / self.stride;
        side * side
    }

    /// The rows of `pieces`, put together: those of each go to what `places` says of it, a place of the
    /// result and the first row there. `counts` are the rows of each place.
    fn project_to(
        &mut self,
        pieces: &[Piece<'_>],
        places: &[(usize, usize)],
        counts: &[usize],
    ) -> Result<Vec<Rows>, RunError> {
        let mut out: Vec<Option<Rows>> = vec![None; counts.len()];
        // By place: the rows on the device, and where each stretch of them begins.
        let mut there: Vec<Vec<(usize, Stretch)>> = vec![Vec::new(); counts.len()];
        let mut by_side: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (i, piece) in pieces.iter().enumerate() {
            by_side.entry(piece.side).or_default().push(i);
        }
        for (side, all) in by_side {
            let most = (self.pixels / (side * side).max(1)).max(1);
            // Runs of like size: a small one takes the host as long as a large one.
            let batch = all.len().div_ceil(all.len().div_ceil(most));
            for chosen in all.chunks(batch) {
                let batch: Vec<_> = chosen.iter().map(|&i| pieces[i].pixels.clone()).collect();
                let (hidden, rows) = (self.hidden, self.rows_of(&pieces[chosen[0]]));
                let shape = [chosen.len(), rows, hidden].map(|d| d as i64);
                let mut taken = Ok(());
                let mut take = |found: &[session::View<'_>]| {
                    taken = found
                        .first()
                        .filter(|projected| projected.shape == shape)
                        .ok_or_else(|| shape_fault("projected"))
                        .and_then(|projected| {
                            let size = rows * hidden;
                            for (k, &i) in chosen.iter().enumerate() {
                                let (place, at) = places[i];
                                let rows = match &mut out[place] {
                                    Some(rows) => rows,
                                    none => none.insert(Rows::zeros(
                                        &projected.data,
                                        hidden,
                                        counts[place],
                                    )?),
                                };
                                rows.put(at, &projected.data, k * size..(k + 1) * size)?;
                            }
                            Ok(())
                        });
                };
                let kept = self.with_inputs(side, &batch, |graph, set, inputs| {
                    let kept = graph.run_kept(set, inputs, "projected")?;
                    if kept.is_none() {
                        run(graph, set, inputs, &["projected"], &mut take)?;
                    }
                    Ok(kept)
                })?;
                taken?;
                let Some(tensor) = kept else { continue };
                if tensor.shape() != shape {
                    return Err(shape_fault("projected"));
                }
                let tensor = Arc::new(tensor);
                for (k, &i) in chosen.iter().enumerate() {
                    let (place, at) = places[i];
                    let (tensor, rows) = (Arc::clone(&tensor), k * rows..(k + 1) * rows);
                    there[place].push((at, Stretch { tensor, rows }));
                }
            }
        }
        for ((rows, stretches), &count) in out.iter_mut().zip(there).zip(counts) {
            if !stretches.is_empty() {
                *rows = Some(self.own(stretches, count)?);
            }
        }
        out.into_iter()
            .collect::<Option<_>>()
            .ok_or_else(|| shape_fault("projected"))
    }

    /// A page's `count` rows in a tensor of their own, of stretches of those of a run, each with its
    /// first row in the page: a page that takes long does not keep those of others.
    fn own(&self, mut stretches: Vec<(usize, Stretch)>, count: usize) -> Result<Rows, RunError> {
        stretches.sort_by_key(|(at, _)| *at);
        let stretches = stretches.into_iter().map(|(_, stretch)| stretch).collect();
        let all = Rows {
            width: self.hidden,
            elements: Elements::Device(stretches),
        };
        let mut parts = Vec::new();
        if all.len() != count || !all.parts(0..count, &mut parts) {
            return Err(shape_fault("projected"));
        }
        let shape = [count as i64, self.hidden as i64];
        let own = self.graph.joined(PartType::Bf16, &shape, &parts)?;
        let tensor = Arc::new(own.ok_or_else(|| shape_fault("projected"))?);
        let rows = 0..count;
        Ok(Rows {
            width: self.hidden,
            elements: Elements::Device(vec![Stretch { tensor, rows }]),
        })
    }

    /// All stages of one view.
    pub fn stages(&mut self, view: &View) -> Result<Stages, RunError> {
        let mut out = None;
        let names = ["sam", "clip", "projected"];
        let piece = Piece::of(view);
        self.run(piece.side, &[piece.pixels], &names, &mut |found| {
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
        views: &[Part<'_>],
        outputs: &[&str],
        take: &mut dyn FnMut(&[session::View<'_>]) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let mut taken = Ok(());
        let mut take = |found: &[session::View<'_>]| taken = take(found);
        self.with_inputs(side, views, |graph, set, inputs| {
            run(graph, set, inputs, outputs, &mut take)
        })?;
        taken
    }

    /// Calls `then` with the graph's inputs for views of one size: the set that it holds, and those
    /// that are to be given.
    fn with_inputs<T>(
        &mut self,
        side: usize,
        views: &[Part<'_>],
        then: impl FnOnce(
            &mut dyn Graph,
            Option<usize>,
            &[(&str, session::View<'_>)],
        ) -> Result<T, RunError>,
    ) -> Result<T, RunError> {
        let tables = self.tables.get(&side).ok_or_else(|| {
            RunError(format!(
                "the model pack has no position tables for views of {side} pixels"
            ))
        })?;
        if views.iter().any(|view| view.len() != side * side * 3) {
            return Err(RunError(format!(
                "a view is not {side} pixels wide and high"
            )));
        }
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
        let shape = [views.len() as i64, side as i64, side as i64, 3];
        let joined = self.graph.joined(PartType::U8, &shape, views)?;
        let host;
        let pixels = match &joined {
            Some(tensor) => session::View::on_device(tensor),
            None => {
                let parts: Vec<&[u8]> = views.iter().map(Part::host).collect::<Result<_, _>>()?;
                host = parts.concat();
                session::View::new(&shape, &host)
            }
        };
        let mut inputs = vec![("views", pixels)];
        if !held {
            inputs.extend(tables);
        }
        then(&mut *self.graph, held.then_some(side), &inputs)
    }
}

/// Runs the graph on `inputs` and those that it holds as `set`, if it does.
fn run(
    graph: &mut dyn Graph,
    set: Option<usize>,
    inputs: &[(&str, session::View<'_>)],
    outputs: &[&str],
    take: &mut dyn FnMut(&[session::View<'_>]),
) -> Result<(), RunError> {
    match set {
        Some(set) => graph.run_with(set, inputs, outputs, take),
        None => graph.run(inputs, outputs, take),
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
        let rows: Vec<_> = rows.iter().map(|r| r.to_f32().unwrap()).collect();
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
        let pages = vision
            .pages(&[(&page(10)).into(), (&page(20)).into()])
            .unwrap();
        let firsts =
            |rows: &Rows| -> Vec<f32> { rows.to_f32().unwrap().chunks(4).map(|r| r[0]).collect() };
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
