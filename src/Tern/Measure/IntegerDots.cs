using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace Tern.Measure;

/// <summary>
/// Loops that do nothing but multiply and add 8-bit integers in registers, one for every instruction that kernels are made of. One round
/// takes a block of <see cref="Block"/> vectors from the first-level cache and multiplies each by several register operands.
/// </summary>
internal sealed record IntegerDots(string Name, long OperationsPerRound, Func<int, int> Run)
{
    private const int Block = 32;

    /// <summary>Those that this processor has.</summary>
    public static IEnumerable<IntegerDots> Available
    {
        get
        {
            if (Avx512BW.IsSupported)
                yield return new IntegerDots("vpmaddubsw zmm", Block * 4L * 64 * 2, Madd512);
            if (AvxVnni.IsSupported)
                yield return new IntegerDots("vpdpbusd ymm", Block * 10L * 32 * 2, Vnni256);
            if (Avx2.IsSupported)
                yield return new IntegerDots("vpmaddubsw ymm", Block * 4L * 32 * 2, Madd256);
            if (Dp.IsSupported)
                yield return new IntegerDots("sdot", Block * 8L * 16 * 2, Dot128);
            yield return new IntegerDots("16-bit multiply", Block * 4L * 16 * 2, Multiply16);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Madd512(int rounds)
    {
        Vector512<byte>[] x = new Vector512<byte>[Block];
        Array.Fill(x, Vector512<byte>.One);
        Vector512<sbyte> w0 = Vector512.Create((sbyte)1), w1 = -w0, w2 = w0 + w0, w3 = -w2;
        Vector512<short> a = default, b = default, c = default, d = default;
        for (int round = 0; round < rounds; round++)
        {
            foreach (Vector512<byte> v in x)
            {
                a = Avx512BW.Add(a, Avx512BW.MultiplyAddAdjacent(v, w0));
                b = Avx512BW.Add(b, Avx512BW.MultiplyAddAdjacent(v, w1));
                c = Avx512BW.Add(c, Avx512BW.MultiplyAddAdjacent(v, w2));
                d = Avx512BW.Add(d, Avx512BW.MultiplyAddAdjacent(v, w3));
            }
        }

        return Vector512.Sum(a + b + c + d);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Madd256(int rounds)
    {
        Vector256<byte>[] x = new Vector256<byte>[Block];
        Array.Fill(x, Vector256<byte>.One);
        Vector256<sbyte> w0 = Vector256.Create((sbyte)1), w1 = -w0, w2 = w0 + w0, w3 = -w2;
        Vector256<short> a = default, b = default, c = default, d = default;
        for (int round = 0; round < rounds; round++)
        {
            foreach (Vector256<byte> v in x)
            {
                a = Avx2.Add(a, Avx2.MultiplyAddAdjacent(v, w0));
                b = Avx2.Add(b, Avx2.MultiplyAddAdjacent(v, w1));
                c = Avx2.Add(c, Avx2.MultiplyAddAdjacent(v, w2));
                d = Avx2.Add(d, Avx2.MultiplyAddAdjacent(v, w3));
            }
        }

        return Vector256.Sum(a + b + c + d);
    }

    /// <summary>Ten sums, because the instruction takes up to five cycles and two start in each.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Vnni256(int rounds)
    {
        Vector256<byte>[] x = new Vector256<byte>[Block];
        Array.Fill(x, Vector256<byte>.One);
        Vector256<sbyte> w = Vector256.Create((sbyte)1);
        Vector256<int> a = default, b = default, c = default, d = default, e = default;
        Vector256<int> f = default, g = default, h = default, i = default, j = default;
        for (int round = 0; round < rounds; round++)
        {
            foreach (Vector256<byte> v in x)
            {
                a = AvxVnni.MultiplyWideningAndAdd(a, v, w);
                b = AvxVnni.MultiplyWideningAndAdd(b, v, w);
                c = AvxVnni.MultiplyWideningAndAdd(c, v, w);
                d = AvxVnni.MultiplyWideningAndAdd(d, v, w);
                e = AvxVnni.MultiplyWideningAndAdd(e, v, w);
                f = AvxVnni.MultiplyWideningAndAdd(f, v, w);
                g = AvxVnni.MultiplyWideningAndAdd(g, v, w);
                h = AvxVnni.MultiplyWideningAndAdd(h, v, w);
                i = AvxVnni.MultiplyWideningAndAdd(i, v, w);
                j = AvxVnni.MultiplyWideningAndAdd(j, v, w);
            }
        }

        return Vector256.Sum(a + b + c + d + e + f + g + h + i + j);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Dot128(int rounds)
    {
        Vector128<sbyte>[] x = new Vector128<sbyte>[Block];
        Array.Fill(x, Vector128<sbyte>.One);
        Vector128<sbyte> w = Vector128.Create((sbyte)1);
        Vector128<int> a = default, b = default, c = default, d = default;
        Vector128<int> e = default, f = default, g = default, h = default;
        for (int round = 0; round < rounds; round++)
        {
            foreach (Vector128<sbyte> v in x)
            {
                a = Dp.DotProduct(a, v, w);
                b = Dp.DotProduct(b, v, w);
                c = Dp.DotProduct(c, v, w);
                d = Dp.DotProduct(d, v, w);
                e = Dp.DotProduct(e, v, w);
                f = Dp.DotProduct(f, v, w);
                g = Dp.DotProduct(g, v, w);
                h = Dp.DotProduct(h, v, w);
            }
        }

        return Vector128.Sum(a + b + c + d + e + f + g + h);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static int Multiply16(int rounds)
    {
        Vector256<short>[] x = new Vector256<short>[Block];
        Array.Fill(x, Vector256<short>.One);
        Vector256<short> w0 = Vector256.Create((short)1), w1 = -w0, w2 = w0 + w0, w3 = -w2;
        Vector256<short> a = default, b = default, c = default, d = default;
        for (int round = 0; round < rounds; round++)
        {
            foreach (Vector256<short> v in x)
            {
                a += v * w0;
                b += v * w1;
                c += v * w2;
                d += v * w3;
            }
        }

        return Vector256.Sum(a + b + c + d);
    }
}
