using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Training.Mathematics;

/// <summary>
/// The two inner loops of all matrix products, on panels of 32 columns. Every output is one chain of fused multiply-adds in the order of k that
/// continues from what C holds, so neither tiling nor threads nor the width of registers change a bit.
/// <code>
///   Rows12       C[12, 32] += Σk A[12, k] · B[k, 32]         A: panels [k / 32][rows][32], row stride 32     B: [k][32]
///                24 accumulators, 2 loads of B and 12 broadcasts of A for 24 multiply-adds
///   Columns8     C[8, 32] += Σt A[t, 8] · B[t, 32]           A, B: [t][32]     C: rows of a weight gradient
///                16 accumulators, 2 loads of B and 8 broadcasts of A for 16 multiply-adds
/// </code>
/// Where registers hold eight floats, three rows of four vectors at a time do the same chains.
/// </summary>
internal static unsafe class GemmKernels
{
    /// <summary>Columns of a panel.</summary>
    public const int Panel = 32;

    /// <summary>Rows of C in <see cref="Rows12"/>.</summary>
    public const int RowStrip = 12;

    /// <summary>Rows of C in <see cref="Columns8"/>.</summary>
    public const int ColumnStrip = 8;

    /// <summary>C[12, 32] (+)= A · B.</summary>
    /// <param name="a">Row 0 of the strip in its first panel.</param>
    /// <param name="aPanel">Floats from a panel of A to the next.</param>
    /// <param name="b">[panels · 32][32].</param>
    /// <param name="panels">Panels of A to go through.</param>
    /// <param name="c">[12][32].</param>
    /// <param name="accumulate">Continue from what C holds, else from 0.</param>
    [SkipLocalsInit]
    public static void Rows12(float* a, nint aPanel, float* b, int panels, float* c, bool accumulate)
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            for (int row = 0; row < RowStrip; row += 3)
                Rows3(a + (row * Panel), aPanel, b, panels, c + (row * Panel), accumulate);
            return;
        }

        Vector512<float> c00 = default, c01 = default, c10 = default, c11 = default, c20 = default, c21 = default, c30 = default, c31 = default, c40 = default, c41 = default, c50 = default, c51 = default;
        Vector512<float> c60 = default, c61 = default, c70 = default, c71 = default, c80 = default, c81 = default, c90 = default, c91 = default, ca0 = default, ca1 = default, cb0 = default, cb1 = default;
        if (accumulate)
        {
            c00 = Vector512.Load(c + 0);
            c01 = Vector512.Load(c + 16);
            c10 = Vector512.Load(c + 32);
            c11 = Vector512.Load(c + 48);
            c20 = Vector512.Load(c + 64);
            c21 = Vector512.Load(c + 80);
            c30 = Vector512.Load(c + 96);
            c31 = Vector512.Load(c + 112);
            c40 = Vector512.Load(c + 128);
            c41 = Vector512.Load(c + 144);
            c50 = Vector512.Load(c + 160);
            c51 = Vector512.Load(c + 176);
            c60 = Vector512.Load(c + 192);
            c61 = Vector512.Load(c + 208);
            c70 = Vector512.Load(c + 224);
            c71 = Vector512.Load(c + 240);
            c80 = Vector512.Load(c + 256);
            c81 = Vector512.Load(c + 272);
            c90 = Vector512.Load(c + 288);
            c91 = Vector512.Load(c + 304);
            ca0 = Vector512.Load(c + 320);
            ca1 = Vector512.Load(c + 336);
            cb0 = Vector512.Load(c + 352);
            cb1 = Vector512.Load(c + 368);
        }

        for (int p = 0; p < panels; p++, a += aPanel)
        {
            float* x = a;
            for (float* end = a + Panel; x < end; x++, b += Panel)
            {
                Vector512<float> b0 = Vector512.Load(b);
                Vector512<float> b1 = Vector512.Load(b + 16);
                Vector512<float> v = Vector512.Create(x[0]);
                c00 = Vector512.FusedMultiplyAdd(v, b0, c00);
                c01 = Vector512.FusedMultiplyAdd(v, b1, c01);
                v = Vector512.Create(x[32]);
                c10 = Vector512.FusedMultiplyAdd(v, b0, c10);
                c11 = Vector512.FusedMultiplyAdd(v, b1, c11);
                v = Vector512.Create(x[64]);
                c20 = Vector512.FusedMultiplyAdd(v, b0, c20);
                c21 = Vector512.FusedMultiplyAdd(v, b1, c21);
                v = Vector512.Create(x[96]);
                c30 = Vector512.FusedMultiplyAdd(v, b0, c30);
                c31 = Vector512.FusedMultiplyAdd(v, b1, c31);
                v = Vector512.Create(x[128]);
                c40 = Vector512.FusedMultiplyAdd(v, b0, c40);
                c41 = Vector512.FusedMultiplyAdd(v, b1, c41);
                v = Vector512.Create(x[160]);
                c50 = Vector512.FusedMultiplyAdd(v, b0, c50);
                c51 = Vector512.FusedMultiplyAdd(v, b1, c51);
                v = Vector512.Create(x[192]);
                c60 = Vector512.FusedMultiplyAdd(v, b0, c60);
                c61 = Vector512.FusedMultiplyAdd(v, b1, c61);
                v = Vector512.Create(x[224]);
                c70 = Vector512.FusedMultiplyAdd(v, b0, c70);
                c71 = Vector512.FusedMultiplyAdd(v, b1, c71);
                v = Vector512.Create(x[256]);
                c80 = Vector512.FusedMultiplyAdd(v, b0, c80);
                c81 = Vector512.FusedMultiplyAdd(v, b1, c81);
                v = Vector512.Create(x[288]);
                c90 = Vector512.FusedMultiplyAdd(v, b0, c90);
                c91 = Vector512.FusedMultiplyAdd(v, b1, c91);
                v = Vector512.Create(x[320]);
                ca0 = Vector512.FusedMultiplyAdd(v, b0, ca0);
                ca1 = Vector512.FusedMultiplyAdd(v, b1, ca1);
                v = Vector512.Create(x[352]);
                cb0 = Vector512.FusedMultiplyAdd(v, b0, cb0);
                cb1 = Vector512.FusedMultiplyAdd(v, b1, cb1);
            }
        }

        c00.Store(c + 0);
        c01.Store(c + 16);
        c10.Store(c + 32);
        c11.Store(c + 48);
        c20.Store(c + 64);
        c21.Store(c + 80);
        c30.Store(c + 96);
        c31.Store(c + 112);
        c40.Store(c + 128);
        c41.Store(c + 144);
        c50.Store(c + 160);
        c51.Store(c + 176);
        c60.Store(c + 192);
        c61.Store(c + 208);
        c70.Store(c + 224);
        c71.Store(c + 240);
        c80.Store(c + 256);
        c81.Store(c + 272);
        c90.Store(c + 288);
        c91.Store(c + 304);
        ca0.Store(c + 320);
        ca1.Store(c + 336);
        cb0.Store(c + 352);
        cb1.Store(c + 368);
    }

    /// <summary>C[8, 32] += Σt A[t, 8] · B[t, 32].</summary>
    /// <param name="a">Column 0 of the strip at the first t; rows of 32 floats.</param>
    /// <param name="b">[count][32].</param>
    /// <param name="count">Values of t.</param>
    /// <param name="c">[8][stride].</param>
    /// <param name="stride">Floats from a row of C to the next.</param>
    [SkipLocalsInit]
    public static void Columns8(float* a, float* b, int count, float* c, nint stride)
    {
        if (!Vector512.IsHardwareAccelerated)
        {
            for (int row = 0; row < ColumnStrip; row += 2)
                Columns2(a + row, b, count, c + (row * stride), stride);
            return;
        }

        float* d = c + (4 * stride);
        Vector512<float> c00 = Vector512.Load(c), c01 = Vector512.Load(c + 16);
        Vector512<float> c10 = Vector512.Load(c + stride), c11 = Vector512.Load(c + stride + 16);
        Vector512<float> c20 = Vector512.Load(c + (2 * stride)), c21 = Vector512.Load(c + (2 * stride) + 16);
        Vector512<float> c30 = Vector512.Load(c + (3 * stride)), c31 = Vector512.Load(c + (3 * stride) + 16);
        Vector512<float> c40 = Vector512.Load(d), c41 = Vector512.Load(d + 16);
        Vector512<float> c50 = Vector512.Load(d + stride), c51 = Vector512.Load(d + stride + 16);
        Vector512<float> c60 = Vector512.Load(d + (2 * stride)), c61 = Vector512.Load(d + (2 * stride) + 16);
        Vector512<float> c70 = Vector512.Load(d + (3 * stride)), c71 = Vector512.Load(d + (3 * stride) + 16);
        for (float* end = a + ((nint)count * Panel); a < end; a += Panel, b += Panel)
        {
            Vector512<float> b0 = Vector512.Load(b);
            Vector512<float> b1 = Vector512.Load(b + 16);
            Vector512<float> v = Vector512.Create(a[0]);
            c00 = Vector512.FusedMultiplyAdd(v, b0, c00);
            c01 = Vector512.FusedMultiplyAdd(v, b1, c01);
            v = Vector512.Create(a[1]);
            c10 = Vector512.FusedMultiplyAdd(v, b0, c10);
            c11 = Vector512.FusedMultiplyAdd(v, b1, c11);
            v = Vector512.Create(a[2]);
            c20 = Vector512.FusedMultiplyAdd(v, b0, c20);
            c21 = Vector512.FusedMultiplyAdd(v, b1, c21);
            v = Vector512.Create(a[3]);
            c30 = Vector512.FusedMultiplyAdd(v, b0, c30);
            c31 = Vector512.FusedMultiplyAdd(v, b1, c31);
            v = Vector512.Create(a[4]);
            c40 = Vector512.FusedMultiplyAdd(v, b0, c40);
            c41 = Vector512.FusedMultiplyAdd(v, b1, c41);
            v = Vector512.Create(a[5]);
            c50 = Vector512.FusedMultiplyAdd(v, b0, c50);
            c51 = Vector512.FusedMultiplyAdd(v, b1, c51);
            v = Vector512.Create(a[6]);
            c60 = Vector512.FusedMultiplyAdd(v, b0, c60);
            c61 = Vector512.FusedMultiplyAdd(v, b1, c61);
            v = Vector512.Create(a[7]);
            c70 = Vector512.FusedMultiplyAdd(v, b0, c70);
            c71 = Vector512.FusedMultiplyAdd(v, b1, c71);
        }

        c00.Store(c);
        c01.Store(c + 16);
        c10.Store(c + stride);
        c11.Store(c + stride + 16);
        c20.Store(c + (2 * stride));
        c21.Store(c + (2 * stride) + 16);
        c30.Store(c + (3 * stride));
        c31.Store(c + (3 * stride) + 16);
        c40.Store(d);
        c41.Store(d + 16);
        c50.Store(d + stride);
        c51.Store(d + stride + 16);
        c60.Store(d + (2 * stride));
        c61.Store(d + (2 * stride) + 16);
        c70.Store(d + (3 * stride));
        c71.Store(d + (3 * stride) + 16);
    }

    private static void Rows3(float* a, nint aPanel, float* b, int panels, float* c, bool accumulate)
    {
        const int width = 8;
        Vector256<float> p0 = default, p1 = default, p2 = default, p3 = default;
        Vector256<float> q0 = default, q1 = default, q2 = default, q3 = default;
        Vector256<float> r0 = default, r1 = default, r2 = default, r3 = default;
        float* d = c + Panel, e = d + Panel;
        if (accumulate)
        {
            (p0, p1, p2, p3) = (Vector256.Load(c), Vector256.Load(c + width), Vector256.Load(c + (2 * width)), Vector256.Load(c + (3 * width)));
            (q0, q1, q2, q3) = (Vector256.Load(d), Vector256.Load(d + width), Vector256.Load(d + (2 * width)), Vector256.Load(d + (3 * width)));
            (r0, r1, r2, r3) = (Vector256.Load(e), Vector256.Load(e + width), Vector256.Load(e + (2 * width)), Vector256.Load(e + (3 * width)));
        }

        for (int panel = 0; panel < panels; panel++, a += aPanel)
        {
            float* x = a;
            for (float* end = a + Panel; x < end; x++, b += Panel)
            {
                Vector256<float> u = Vector256.Create(x[0]), v = Vector256.Create(x[Panel]), w = Vector256.Create(x[2 * Panel]);
                Vector256<float> y = Vector256.Load(b);
                p0 = Vector256.FusedMultiplyAdd(u, y, p0);
                q0 = Vector256.FusedMultiplyAdd(v, y, q0);
                r0 = Vector256.FusedMultiplyAdd(w, y, r0);
                y = Vector256.Load(b + width);
                p1 = Vector256.FusedMultiplyAdd(u, y, p1);
                q1 = Vector256.FusedMultiplyAdd(v, y, q1);
                r1 = Vector256.FusedMultiplyAdd(w, y, r1);
                y = Vector256.Load(b + (2 * width));
                p2 = Vector256.FusedMultiplyAdd(u, y, p2);
                q2 = Vector256.FusedMultiplyAdd(v, y, q2);
                r2 = Vector256.FusedMultiplyAdd(w, y, r2);
                y = Vector256.Load(b + (3 * width));
                p3 = Vector256.FusedMultiplyAdd(u, y, p3);
                q3 = Vector256.FusedMultiplyAdd(v, y, q3);
                r3 = Vector256.FusedMultiplyAdd(w, y, r3);
            }
        }

        Store4(p0, p1, p2, p3, c);
        Store4(q0, q1, q2, q3, d);
        Store4(r0, r1, r2, r3, e);
    }

    private static void Columns2(float* a, float* b, int count, float* c, nint stride)
    {
        const int width = 8;
        float* d = c + stride;
        Vector256<float> p0 = Vector256.Load(c), p1 = Vector256.Load(c + width), p2 = Vector256.Load(c + (2 * width)), p3 = Vector256.Load(c + (3 * width));
        Vector256<float> q0 = Vector256.Load(d), q1 = Vector256.Load(d + width), q2 = Vector256.Load(d + (2 * width)), q3 = Vector256.Load(d + (3 * width));
        for (float* end = a + ((nint)count * Panel); a < end; a += Panel, b += Panel)
        {
            Vector256<float> u = Vector256.Create(a[0]), v = Vector256.Create(a[1]);
            Vector256<float> y0 = Vector256.Load(b), y1 = Vector256.Load(b + width), y2 = Vector256.Load(b + (2 * width)), y3 = Vector256.Load(b + (3 * width));
            p0 = Vector256.FusedMultiplyAdd(u, y0, p0);
            q0 = Vector256.FusedMultiplyAdd(v, y0, q0);
            p1 = Vector256.FusedMultiplyAdd(u, y1, p1);
            q1 = Vector256.FusedMultiplyAdd(v, y1, q1);
            p2 = Vector256.FusedMultiplyAdd(u, y2, p2);
            q2 = Vector256.FusedMultiplyAdd(v, y2, q2);
            p3 = Vector256.FusedMultiplyAdd(u, y3, p3);
            q3 = Vector256.FusedMultiplyAdd(v, y3, q3);
        }

        Store4(p0, p1, p2, p3, c);
        Store4(q0, q1, q2, q3, d);
    }

    private static void Store4(Vector256<float> v0, Vector256<float> v1, Vector256<float> v2, Vector256<float> v3, float* destination)
    {
        v0.Store(destination);
        v1.Store(destination + 8);
        v2.Store(destination + 16);
        v3.Store(destination + 24);
    }
}
