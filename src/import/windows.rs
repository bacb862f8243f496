//! A view cut into square windows, and put together again.
//!
//! Where the view does not divide into windows it is padded with zeros below and to the right; the
//! padding is attended like any token (`window_partition` in SAM). Both ways are one gather by
//! index: the indices are made once from the view's size and serve every layer.

use super::graph::{Graph, Value};
use super::nodes::Size;

pub struct Windows {
    /// Tokens of a window.
    tokens: i64,
    /// Elements of a token.
    width: i64,
    /// Number of windows of all views.
    count: Value,
    /// `[windows of a view, tokens of a window]`: which token of the view is there; one past the
    /// last: padding.
    there: Value,
    /// `[tokens of a view]`: where each is, counted over the view's windows.
    places: Value,
    /// A token of zeros for each view.
    padding: Value,
    /// Shape of each view's windows one after the other: `[views, places, width]`.
    joined: Value,
}

impl Windows {
    /// Windows of `side` tokens to a side, of views of `grid` tokens to a side.
    pub fn new(g: &mut Graph, views: Value, grid: Size, side: i64, width: i64) -> Self {
        let along = g.plus(grid, side - 1);
        let along = g.over(along, side);
        let (there, places) = (there(g, grid, along, side), places(g, grid, along, side));
        let along = g.size(along);
        let of_view = g.mul(along, along);
        let zero = g.scalar(0.0);
        let shape = g.sizes(&[Size::Of(views), Size::Is(1), Size::Is(width)]);
        Self {
            tokens: side * side,
            width,
            count: g.mul(of_view, views),
            there,
            places,
            padding: g.expand(zero, shape),
            joined: g.sizes(&[Size::Of(views), Size::Is(-1), Size::Is(width)]),
        }
    }

    /// Number of windows of all views, a tensor of one dimension with one element.
    pub fn count(&self) -> Value {
        self.count
    }

    /// `[views, tokens of a view, width]` to `[windows, tokens of a window, width]`.
    pub fn cut(&self, g: &mut Graph, x: Value) -> Value {
        let padded = g.concat(&[x, self.padding], 1);
        let windows = g.gather(padded, self.there, 1);
        g.reshape(windows, &[-1, self.tokens, self.width])
    }

    /// The way back; what stands at padding is left out.
    pub fn join(&self, g: &mut Graph, x: Value) -> Value {
        let joined = g.reshape_to(x, self.joined);
        g.gather(joined, self.places, 1)
    }
}

/// At (window row, window column, row, column) is the token (window row * side + row, window
/// column * side + column), if the view has it.
fn there(g: &mut Graph, grid: Size, along: Size, side: i64) -> Value {
    let padded = g.times(along, side);
    let at = g.range(padded);
    let (one, side_size) = (Size::Is(1), Size::Is(side));
    let shape = g.sizes(&[along, one, side_size, one]);
    let rows = g.reshape_to(at, shape);
    let shape = g.sizes(&[one, along, one, side_size]);
    let columns = g.reshape_to(at, shape);
    let grid = g.size(grid);
    let inside = [rows, columns].map(|at| g.node("Less", &[at, grid]).one());
    let inside = g.node("And", &inside).one();
    let row_starts = g.mul(rows, grid);
    let token = g.add(row_starts, columns);
    let past = g.mul(grid, grid);
    let there = g.node("Where", &[inside, token, past]).one();
    g.reshape(there, &[-1, side * side])
}

/// The token (y, x) is in window (y / side, x / side), there at (y mod side, x mod side).
fn places(g: &mut Graph, grid: Size, along: Size, side: i64) -> Value {
    let at = g.range(grid);
    let along = g.size(along);
    let (side, tokens) = (g.ints(&[side]), g.ints(&[side * side]));
    let window_column = g.node("Div", &[at, side]).one();
    let column = g.node("Mod", &[at, side]).one();
    let [window_row, row] = [window_column, column].map(|at| g.reshape(at, &[-1, 1]));
    let row_start = g.mul(window_row, along);
    let window = g.add(row_start, window_column);
    let window_start = g.mul(window, tokens);
    let row_start = g.mul(row, side);
    let within = g.add(row_start, column);
    let places = g.add(window_start, within);
    g.reshape(places, &[-1])
}
