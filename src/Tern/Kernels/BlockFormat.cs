namespace Tern.Kernels;

/// <summary>
/// A block type as the matmul of blocks sees it: integer weights with float scales, in units. A unit is the smallest run of whole storage
/// blocks that holds whole pairs of 32-column blocks; a <i>part</i> is a 32-column block inside its unit.
/// <code>
///   Q4_0  unit of 64 columns   [ d | 16 B ][ d | 16 B ]          parts 0, 1
///   Q1_0  unit of 128 columns  [ d |       16 B       ]          parts 0 … 3
///   Q6_K  unit of 256 columns  [ 128 B | 64 B | 16 sub-scales | d ]   parts 0 … 7
/// </code>
/// <para>The definition of y = w · x for every block type, which every instruction set follows bit for bit. For 32-column block b, with
/// weights w, activation codes a and step(b) the value of one activation code:</para>
/// <code>
///   sum  = Σ of w·a over the 32 columns                                            exact
///          with sub-scales: Σ over both halves of 16 columns of subScale · Σ w·a
///   acc  = fma(d_w(b) · step(b), (float)sum, acc)             one float product; d_w = d · (float)factor, another, where the type has factors
///   corr = fma(m_w(b) · step(b), (float)Σa(b), corr)          only types with minimums
///
///   y = acc + corr, both from 0 through the blocks in the order of their columns
/// </code>
/// Nothing here can overflow or round before the product: |a| ≤ 127, so |sum| ≤ 32 · 128 · 127 and, with sub-scales,
/// ≤ 32 · 32 · 127 · 128 &lt; 2^24, which floats hold exactly. The method of 8-bit activations in blocks of 32 is that of llama.cpp's Q8_0
/// partner; the order of the sums is Tern's own.
/// </summary>
internal unsafe interface IBlockFormat
{
    /// <summary>Columns of a unit: 64, 128 or 256.</summary>
    static abstract int UnitColumns { get; }

    /// <summary>Bytes of a unit.</summary>
    static abstract int UnitBytes { get; }

    /// <summary>Unpacked codes are weight + Bias.</summary>
    static abstract int Bias { get; }

    /// <summary>Unpacked codes are signed bytes of the full range (Bias is 0); otherwise they are at most 63.</summary>
    static abstract bool IsSigned { get; }

    /// <summary>All parts of a unit have the same fp16 scale (times their factors).</summary>
    static abstract bool HasOneScale { get; }

    /// <summary>Scales are fp16 times an integer factor of each part.</summary>
    static abstract bool HasFactors { get; }

    /// <summary>Weights have a minimum besides the scale.</summary>
    static abstract bool HasMinimums { get; }

    /// <summary>Sixteen columns share an int8 sub-scale.</summary>
    static abstract bool HasSubScales { get; }

    /// <summary>The integer weight of a column of the unit: the plain definition.</summary>
    static abstract int Weight(byte* unit, int column);

    /// <summary>The fp16 scale of a part.</summary>
    static abstract ushort Scale(byte* unit, int part);

    /// <summary>What the scale of a part is multiplied by; 1 without <see cref="HasFactors"/>.</summary>
    static abstract int Factor(byte* unit, int part);

    /// <summary>The fp16 minimum of a part and what it is multiplied by; 0 without <see cref="HasMinimums"/>.</summary>
    static abstract (ushort Bits, int Factor) Minimum(byte* unit, int part);

    /// <summary>The sub-scale of 16 columns; 1 without <see cref="HasSubScales"/>.</summary>
    static abstract int SubScale(byte* unit, int sixteen);

    /// <summary>Unpacks a unit: code i of pair p of 32-column blocks to codes[p · pairStride + i], i in 0 … 63.</summary>
    static abstract void Unpack(byte* unit, byte* codes, int pairStride);
}
