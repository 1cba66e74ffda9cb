//! Store values of the four types that models have.

use neura_int8::Data;

/// A type that values are stored in.
pub(crate) trait Value: Copy + Default + Send + Sync + Into<i32> {
    /// The value, which is within the limits of the type.
    fn of(value: i64) -> Self;

    /// Values as what a node makes.
    fn data(values: Vec<Self>) -> Data;
}

macro_rules! values {
    ($($name:ty, $data:path;)*) => {$(
        impl Value for $name {
            #[inline(always)]
            #[allow(clippy::cast_possible_truncation, reason = "limits are those of the type")]
            fn of(value: i64) -> Self { value as $name }

            fn data(values: Vec<Self>) -> Data { $data(values) }
        }
    )*};
}

values! {
    i8, Data::I8;
    i16, Data::I16;
    u16, Data::U16;
    i32, Data::I32;
}

/// The same expression for each type, called `$name` in it.
macro_rules! by_type {
    ($dtype:expr, $name:ident => $made:expr) => {
        match $dtype {
            ::neura_int8::DType::I8 => {
                type $name = i8;
                $made
            }
            ::neura_int8::DType::I16 => {
                type $name = i16;
                $made
            }
            ::neura_int8::DType::U16 => {
                type $name = u16;
                $made
            }
            ::neura_int8::DType::I32 => {
                type $name = i32;
                $made
            }
        }
    };
}

/// The same expression for values of each type.
macro_rules! by_data {
    ($data:expr, $list:ident => $made:expr) => {
        match $data {
            ::neura_int8::Data::I8($list) => $made,
            ::neura_int8::Data::I16($list) => $made,
            ::neura_int8::Data::U16($list) => $made,
            ::neura_int8::Data::I32($list) => $made,
        }
    };
}

pub(crate) use {by_data, by_type};
