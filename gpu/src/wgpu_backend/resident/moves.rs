//! Say of each operator that moves or looks up cells which kernels compute it.

use super::{
    lower::{Lowering, Operand, Site, word},
    operators::between,
    program::{Form, Place},
};
use crate::{
    GpuError,
    kernels::cells::{self, Kernel},
};
use neura_int8::{
    DType, ParamId,
    ops::{layout::Slice, rope::Rope},
};

/// The volumes before, of, and after an axis.
fn around(dims: &[usize], axis: usize) -> (usize, usize, usize) {
    let volume = |dims: &[usize]| dims.iter().product();
    (volume(&dims[..axis]), dims[axis], volume(&dims[axis + 1..]))
}

impl Lowering<'_> {
    fn strided(&mut self, params: &cells::Strided, places: &[Place; 2]) {
        self.cells(Kernel::Strided, params, places, params.count as usize);
    }

    pub(super) fn slice(
        &mut self,
        op: &Slice,
        site: &Site<'_>,
        x: Operand<'_>,
    ) -> Result<(), GpuError> {
        let (_, axis, after) = around(&x.kind.dims, op.axis);
        let params = cells::Strided {
            count: word(site.cells),
            first_x: word(op.start * after),
            first_y: 0,
            lengths: [1, word(op.length), word(after)],
            steps_x: [word(axis * after), 0, word(after), 1],
            steps_y: [word(op.length * after), 0, word(after), 1],
        };
        self.strided(&params, &between(x, site));
        Ok(())
    }

    pub(super) fn concat(
        &mut self,
        axis: usize,
        site: &Site<'_>,
        parts: &[Operand<'_>],
    ) -> Result<(), GpuError> {
        let (_, whole, after) = around(&site.output.dims, axis);
        let mut start = 0;
        for part in parts {
            let (_, length, _) = around(&part.kind.dims, axis);
            let params = cells::Strided {
                count: word(part.cells),
                first_x: 0,
                first_y: word(start * after),
                lengths: [1, word(length), word(after)],
                steps_x: [word(length * after), 0, word(after), 1],
                steps_y: [word(whole * after), 0, word(after), 1],
            };
            self.strided(&params, &between(*part, site));
            start += length;
        }
        Ok(())
    }

    pub(super) fn transpose(
        &mut self,
        order: &[usize],
        site: &Site<'_>,
        x: Operand<'_>,
    ) -> Result<(), GpuError> {
        let made = &site.output.dims;
        let volume = word(made.iter().product());
        let mut params = cells::Strided {
            count: word(site.cells),
            lengths: [1; 3],
            steps_x: [volume, 0, 0, 0],
            steps_y: [volume, 0, 0, 0],
            ..cells::Strided::default()
        };
        // A row has at most three axes; the last ones are used.
        let unused = 3 - made.len();
        for (to, from) in order.iter().enumerate() {
            params.lengths[unused + to] = word(made[to]);
            params.steps_x[1 + unused + to] = word(around(&x.kind.dims, *from).2);
            params.steps_y[1 + unused + to] = word(around(made, to).2);
        }
        self.strided(&params, &between(x, site));
        Ok(())
    }

    pub(super) fn take_row(
        &mut self,
        last: bool,
        site: &Site<'_>,
        x: Operand<'_>,
    ) -> Result<(), GpuError> {
        let row = if last { self.frame_rows() - 1 } else { 0 };
        let params = cells::Strided {
            count: word(site.cells),
            first_x: word(row * site.cells),
            lengths: [1, 1, word(site.cells)],
            steps_x: [0, 0, 0, 1],
            steps_y: [0, 0, 0, 1],
            ..cells::Strided::default()
        };
        self.strided(&params, &between(x, site));
        Ok(())
    }

    pub(super) fn lookup(
        &mut self,
        table: ParamId,
        site: &Site<'_>,
        x: Operand<'_>,
    ) -> Result<(), GpuError> {
        let offset = if x.kind.dtype == DType::I8 { 128 } else { 32_768 };
        let kind = self.param_kind(table);
        let params = cells::Lookup { count: word(site.cells), offset, kind };
        let table = Place::Param(table, Form::Plain);
        let places = [Place::Slot(x.slot), table, Place::Slot(site.slot)];
        self.cells(Kernel::Lookup, &params, &places, site.cells);
        Ok(())
    }

    /// Rows of a table, by the values of an operand or by their place.
    pub(super) fn embed(
        &mut self,
        table: ParamId,
        site: &Site<'_>,
        x: Option<Operand<'_>>,
    ) -> Result<(), GpuError> {
        let params = cells::Embed {
            count: word(site.cells),
            width: word(self.param_dims(table)[1]),
            kind: self.param_kind(table),
            placed: x.is_none().into(),
            place: self.place(),
        };
        let rows = x.map_or_else(|| self.zeros(1), |x| Place::Slot(x.slot));
        let places = [rows, Place::Param(table, Form::Plain), Place::Slot(site.slot)];
        self.cells(Kernel::Embed, &params, &places, site.cells);
        Ok(())
    }

    pub(super) fn rope(
        &mut self,
        op: &Rope,
        site: &Site<'_>,
        x: Operand<'_>,
    ) -> Result<(), GpuError> {
        let width = x.kind.last(self.scope.frame.end);
        let params = cells::Rope {
            count: word(site.cells),
            width: word(width),
            head: word(width / op.heads),
            half: word(self.param_dims(op.cos)[1]),
            place: self.place(),
            high: site.output.dtype.symmetric().1,
        };
        let plain = |id| Place::Param(id, Form::Plain);
        let places = [Place::Slot(x.slot), plain(op.cos), plain(op.sin), Place::Slot(site.slot)];
        self.cells(Kernel::Rope, &params, &places, site.cells);
        Ok(())
    }
}
