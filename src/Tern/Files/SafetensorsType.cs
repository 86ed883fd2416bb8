using Tern.Numerics;

namespace Tern.Files;

/// <summary>An element type of safetensors files.</summary>
/// <param name="Name">The value of <c>dtype</c>.</param>
/// <param name="Bits">Bits of one element.</param>
/// <param name="Floats">The tensor type of the same bytes, or null where they are not floats that Tern computes with.</param>
internal sealed record SafetensorsType(string Name, int Bits, TensorType? Floats = null)
{
    /// <summary>Bytes; packed ternary codes among them.</summary>
    public static SafetensorsType U8 { get; } = new("U8", 8);

    /// <summary>Every type of the format. A file may hold any of them; what a model needs must be one that Tern computes with.</summary>
    public static IReadOnlyList<SafetensorsType> All { get; } =
    [
        new("F32", 32, TensorType.F32), new("F16", 16, TensorType.F16), new("BF16", 16, TensorType.BF16), U8,
        new("BOOL", 8), new("I8", 8), new("I16", 16), new("U16", 16), new("I32", 32), new("U32", 32), new("I64", 64), new("U64", 64),
        new("F64", 64), new("C64", 64), new("F8_E4M3", 8), new("F8_E5M2", 8), new("F8_E8M0", 8), new("F6_E2M3", 6), new("F6_E3M2", 6), new("F4", 4),
    ];
}

/// <summary>A tensor of a safetensors file, its place checked.</summary>
/// <param name="Name">The name in the file.</param>
/// <param name="Type">Type of its elements.</param>
/// <param name="Shape">Dimensions, outermost first, each at least 0.</param>
/// <param name="Offset">Where its bytes begin in the file.</param>
/// <param name="ByteCount">Its bytes.</param>
/// <param name="HeaderOffset">Where the header speaks of it, for error messages.</param>
internal sealed record SafetensorsEntry(string Name, SafetensorsType Type, long[] Shape, long Offset, long ByteCount, long HeaderOffset);
