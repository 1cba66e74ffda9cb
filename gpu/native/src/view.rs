//! View a matrix whose rows are parts of longer rows.

/// Rows of `width` values, each `stride` values after the one before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'a, T> {
    values: &'a [T],
    stride: usize,
    width: usize,
}

impl<'a, T> View<'a, T> {
    /// Whole rows of `width` values, at least 1.
    pub(crate) fn whole(values: &'a [T], width: usize) -> Self {
        View { values, stride: width, width }
    }

    /// Of rows of `stride` values, the `width` from `start` on.
    pub(crate) fn part(values: &'a [T], stride: usize, start: usize, width: usize) -> Self {
        View { values: values.get(start..).unwrap_or(&[]), stride, width }
    }

    /// Values of a row.
    pub(crate) fn width(&self) -> usize {
        self.width
    }

    /// The number of rows.
    pub(crate) fn count(&self) -> usize {
        self.values.len().div_ceil(self.stride)
    }

    /// Row after row.
    pub(crate) fn rows(self) -> impl ExactSizeIterator<Item = &'a [T]> {
        self.values.chunks(self.stride).map(move |row| &row[..self.width])
    }

    /// As many rows at a time, fewer in the last block.
    pub(crate) fn blocks(self, rows: usize) -> impl ExactSizeIterator<Item = Self> {
        let blocks = self.values.chunks(rows * self.stride);
        blocks.map(move |values| View { values, ..self })
    }
}
