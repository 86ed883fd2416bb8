namespace Tern.Kernels;

/// <summary>
/// Sixteen floats that move together: the unit in which every float operation is defined. <see cref="LanesScalar"/> is the definition;
/// the others do the same IEEE operations on the same lanes in one, two or four registers, so all give the same bits:
/// <code>
///     lane      0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
///     Lanes512  [              zmm                   ]
///     Lanes256  [    ymm       ][        ymm         ]
///     Lanes128  [ q    ][ q    ][ q       ][ q       ]
/// </code>
/// Only the sign and payload of a NaN may differ, because processors differ in the NaN they make.
/// </summary>
/// <typeparam name="TSelf">The implementing struct.</typeparam>
internal unsafe interface ILanes<TSelf>
    where TSelf : unmanaged, ILanes<TSelf>
{
    /// <summary>True when sixteen lanes fill one register, so that a micro-kernel may hold twice as many accumulators.</summary>
    static abstract bool IsWide { get; }

    /// <summary>Sixteen times <paramref name="value"/>.</summary>
    static abstract TSelf Broadcast(float value);

    /// <summary>Sixteen float32 at any alignment.</summary>
    static abstract TSelf Load(float* source);

    /// <summary>Sixteen IEEE binary16, exact with subnormals, infinities and NaN; -0 loads as +0.</summary>
    static abstract TSelf LoadHalf(ushort* source);

    /// <summary>Sixteen bfloat16, exact.</summary>
    static abstract TSelf LoadBFloat(ushort* source);

    /// <summary>
    /// The low halves of sixteen 32-bit words as binary16 without infinities and NaN: exponent 31 is one more power of two, up to ±131,008.
    /// Exact, with subnormals and -0.
    /// </summary>
    static abstract TSelf LoadLowHalves(byte* words);

    /// <summary>The high halves of sixteen 32-bit words, as <see cref="LoadLowHalves"/>.</summary>
    static abstract TSelf LoadHighHalves(byte* words);

    /// <summary>Sixteen int8.</summary>
    static abstract TSelf LoadBytes(byte* source);

    /// <summary>The low four bits of sixteen bytes, less 8: whole numbers in -8..7.</summary>
    static abstract TSelf LoadLowNibbles(byte* source);

    /// <summary>The high four bits of sixteen bytes, less 8.</summary>
    static abstract TSelf LoadHighNibbles(byte* source);

    /// <summary>Eight floats, each twice: s0 s0 s1 s1 … s7 s7.</summary>
    static abstract TSelf LoadDoubled(float* source);

    /// <summary>Writes sixteen float32 at any alignment.</summary>
    static abstract void Store(TSelf value, float* destination);

    static abstract TSelf Add(TSelf left, TSelf right);

    static abstract TSelf Subtract(TSelf left, TSelf right);

    static abstract TSelf Multiply(TSelf left, TSelf right);

    static abstract TSelf Divide(TSelf left, TSelf right);

    /// <summary>left > right ? left : right, so a NaN on either side gives <paramref name="right"/>.</summary>
    static abstract TSelf Max(TSelf left, TSelf right);

    /// <summary>left &lt; right ? left : right, so a NaN on either side gives <paramref name="right"/>.</summary>
    static abstract TSelf Min(TSelf left, TSelf right);

    /// <summary>left · right + addend, rounded once.</summary>
    static abstract TSelf FusedMultiplyAdd(TSelf left, TSelf right, TSelf addend);

    /// <summary>Exchanges lanes 2i and 2i + 1.</summary>
    static abstract TSelf SwapPairs(TSelf value);

    /// <summary>
    /// value · 2^n for a whole n in [-252, 254] that comes as <paramref name="shifted"/> = n + <see cref="Lanes.RoundShift"/>. Two
    /// multiplications by half of the power each, so results in the subnormal range are rounded once and too large ones become infinite.
    /// </summary>
    static abstract TSelf TimesPowerOfTwo(TSelf value, TSelf shifted);

    /// <summary>The sum in a fixed tree: lane i += lane i + 8, then + 4, + 2, + 1.</summary>
    static abstract float TreeSum(TSelf value);

    /// <summary>The maximum in the same tree, each step <see cref="Max"/>(lane i, lane i + step).</summary>
    static abstract float TreeMax(TSelf value);
}

/// <summary>What all lane types share: sizes, constants, and the partial loads and stores of tails.</summary>
internal static unsafe class Lanes
{
    /// <summary>Floats that move together.</summary>
    public const int Count = 16;

    /// <summary>1.5 · 2^23: adding it rounds a float of magnitude below 2^22 to a whole number, half to even, in the low mantissa bits.</summary>
    public const float RoundShift = 12582912f;

    /// <summary>The bits of <see cref="RoundShift"/>.</summary>
    public const int RoundShiftBits = 0x4B400000;

    // Half to float without a branch, in a register of int32:
    //
    //     half, sign extended   ssssssss ssssssss seeeeemm mmmmmmmm
    //     << 13                 ssseeeee mmmmmmmm mm000000 00000000   with three more s in front: bits 31..28 are s
    //     | 0x70000000          s111eeee emmmmmmm mmm00000 00000000   exponent + 224: 31 became 255, so infinity and NaN are right already
    //     · 2^-112              what e in 1..31 means
    //
    // e = 0 went in as ±2^97 (1 + m/1024) and means ±m · 2^-24 = ±(1 + m/1024) · 2^-14 ∓ 2^-14: one fused multiply-add by 2^-111. That
    // has the smaller magnitude exactly when e = 0, and the sign is the same, so the minimum of the bits as unsigned integers chooses.
    public const int HalfShift = 13;
    public const int HalfExponentOffset = 0x70000000;
    public const int SignMask = unchecked((int)0x80000000);
    public const float HalfNormalScale = 1f / (1L << 56) / (1L << 56);
    public const float HalfSubnormalScale = 2f * HalfNormalScale;

    /// <summary>Bits of -2^-14; with the sign of a value exclusive-or'ed in, the addend for e = 0.</summary>
    public const int HalfSubnormalOffset = unchecked((int)0xB8800000);

    // Half to float where exponent 31 is an ordinary one: the word holds [high half][low half].
    //
    //     high half        word >> 3, arithmetic    ssss eeeee mmmmmmmmmm ……    & mask: s000eeee emmmmmmm mmm00000 00000000
    //     low half         word << 16 first
    //
    // That is a float32 of 2^-112 times the value, subnormal where e = 0, and one exact multiplication brings it up.
    public const int HalfPlaceShift = 3;
    public const int HalfPlaceMask = unchecked((int)0x8FFFE000);
    public const float HalfPlaceScale = (float)(1L << 56) * (1L << 56);

    /// <summary>What a code of four bits stands for is its value less this.</summary>
    public const int NibbleZero = 8;

    /// <summary>
    /// A tail as sixteen floats of its own: the first <paramref name="count"/> from memory, the others <paramref name="fill"/>. Reductions
    /// copy their tail before their loop: a call while accumulators live would cost a store in every turn of the loop.
    /// </summary>
    public static void CopyFirst(float* source, int count, float fill, float* destination)
    {
        new Span<float>(destination, Count).Fill(fill);
        new ReadOnlySpan<float>(source, count).CopyTo(new Span<float>(destination, Count));
    }

    /// <summary>The first <paramref name="count"/> lanes from memory, the others zero; reads nothing behind them.</summary>
    public static TLanes LoadFirst<TLanes>(float* source, int count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        float* buffer = stackalloc float[Count];
        CopyFirst(source, count, 0f, buffer);
        return TLanes.Load(buffer);
    }

    /// <summary>Writes the first <paramref name="count"/> lanes and nothing behind them.</summary>
    public static void StoreFirst<TLanes>(TLanes value, float* destination, int count)
        where TLanes : unmanaged, ILanes<TLanes>
    {
        float* buffer = stackalloc float[Count];
        TLanes.Store(value, buffer);
        for (int i = 0; i < count; i++)
            destination[i] = buffer[i];
    }
}
