using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Tern.Machine;

namespace Tern.Training.Mathematics;

/// <summary>
/// The forward product of int8 activations with ternary or binary codes, on VPDPBUSD: exact integers, so the same bits as
/// <see cref="RowProduct"/> on codes in floats, at twice its speed. Codes go in as unsigned code + 1, and Σ activations comes off the sums.
/// <code>
///   A  int8 [rows][K]      B  uint8 [N / 32][K / 4][32][4]      C  panels [N / 32][rows][32]
///   strip: 3 rows by 32 columns; for each 4 of K: 4 loads of B, 3 broadcasts of A, 12 multiply-adds
/// </code>
/// </summary>
internal unsafe struct IntegerProduct
{
    private const int Depth = 4;
    private const int StripRows = 3;
    private const int TileRows = 32 * StripRows;
    private const int TilePanels = 16;

    /// <summary>Whether this processor has the instruction.</summary>
    public static bool IsSupported => AvxVnni.IsSupported;

    /// <summary>[rows][K].</summary>
    public required sbyte* A { get; init; }

    /// <summary>K, a multiple of 32.</summary>
    public required int Inputs { get; init; }

    /// <summary>[N / 32][K / 4][32][4].</summary>
    public required byte* B { get; init; }

    public required Panels C { get; init; }

    /// <summary>Rows to compute; there must be room for the next multiple of 12.</summary>
    public required int Rows { get; init; }

    /// <summary>[Rows] Σ activations.</summary>
    public required int* Sums { get; init; }

    /// <summary>[Rows] divisors.</summary>
    public required float* Multipliers { get; init; }

    /// <summary>The value of a code.</summary>
    public required float Scale { get; init; }

    /// <summary>What is added to the product, or an empty matrix.</summary>
    public Panels Addend { get; init; }

    private readonly int RowTiles => (Rows + TileRows - 1) / TileRows;

    /// <summary>Where a code stands in B.</summary>
    public static nint Place(int output, int input, int inputs) =>
        ((nint)(output / Panels.Columns) * inputs * Panels.Columns) + ((nint)(input / Depth) * Panels.Columns * Depth) + (output % Panels.Columns * Depth) + (input % Depth);

    public void Run(WorkerPool pool)
    {
        fixed (IntegerProduct* self = &this)
            pool.Run(&Body, self, RowTiles * ((C.Count + TilePanels - 1) / TilePanels), 1);
    }

    private static void Body(void* state, int start, int end, int worker)
    {
        var self = (IntegerProduct*)state;
        for (int i = start; i < end; i++)
            self->Tile(i % self->RowTiles * TileRows, i / self->RowTiles * TilePanels);
    }

    private readonly void Tile(int firstRow, int firstPanel)
    {
        int endRow = Math.Min(firstRow + TileRows, Rows), endPanel = Math.Min(firstPanel + TilePanels, C.Count);
        for (int panel = firstPanel; panel < endPanel; panel++)
        {
            byte* b = B + ((nint)panel * Inputs * Panels.Columns);
            for (int row = firstRow; row < endRow; row += StripRows)
            {
                float* c = C.Panel(panel) + ((nint)row * Panels.Columns);
                Strip(A + ((nint)row * Inputs), Inputs, b, (int*)c);
                Finish(row, Math.Min(StripRows, endRow - row), panel, c);
            }
        }
    }

    /// <summary>C[3, 32] = Σ A · B as int32.</summary>
    [SkipLocalsInit]
    private static void Strip(sbyte* a, nint inputs, byte* b, int* c)
    {
        Vector256<int> p0 = default, p1 = default, p2 = default, p3 = default;
        Vector256<int> q0 = default, q1 = default, q2 = default, q3 = default;
        Vector256<int> r0 = default, r1 = default, r2 = default, r3 = default;
        sbyte* second = a + inputs, third = second + inputs;
        for (sbyte* end = second; a < end; a += Depth, second += Depth, third += Depth, b += Depth * Panels.Columns)
        {
            Vector256<sbyte> u = Vector256.Create(*(int*)a).AsSByte(), v = Vector256.Create(*(int*)second).AsSByte(), w = Vector256.Create(*(int*)third).AsSByte();
            Vector256<byte> codes = Vector256.Load(b);
            p0 = AvxVnni.MultiplyWideningAndAdd(p0, codes, u);
            q0 = AvxVnni.MultiplyWideningAndAdd(q0, codes, v);
            r0 = AvxVnni.MultiplyWideningAndAdd(r0, codes, w);
            codes = Vector256.Load(b + 32);
            p1 = AvxVnni.MultiplyWideningAndAdd(p1, codes, u);
            q1 = AvxVnni.MultiplyWideningAndAdd(q1, codes, v);
            r1 = AvxVnni.MultiplyWideningAndAdd(r1, codes, w);
            codes = Vector256.Load(b + 64);
            p2 = AvxVnni.MultiplyWideningAndAdd(p2, codes, u);
            q2 = AvxVnni.MultiplyWideningAndAdd(q2, codes, v);
            r2 = AvxVnni.MultiplyWideningAndAdd(r2, codes, w);
            codes = Vector256.Load(b + 96);
            p3 = AvxVnni.MultiplyWideningAndAdd(p3, codes, u);
            q3 = AvxVnni.MultiplyWideningAndAdd(q3, codes, v);
            r3 = AvxVnni.MultiplyWideningAndAdd(r3, codes, w);
        }

        Store(p0, p1, p2, p3, c);
        Store(q0, q1, q2, q3, c + Panels.Columns);
        Store(r0, r1, r2, r3, c + (2 * Panels.Columns));
    }

    private static void Store(Vector256<int> v0, Vector256<int> v1, Vector256<int> v2, Vector256<int> v3, int* destination)
    {
        v0.Store(destination);
        v1.Store(destination + 8);
        v2.Store(destination + 16);
        v3.Store(destination + 24);
    }

    private readonly void Finish(int first, int rows, int panel, float* c)
    {
        Vector512<float> scale = Vector512.Create(Scale);
        float* addend = Addend.Data == 0 ? null : Addend.Panel(panel) + ((nint)first * Panels.Columns);
        for (int row = 0; row < rows; row++, c += Panels.Columns)
        {
            Vector512<int> sum = Vector512.Create(Sums[first + row]);
            var division = new Division(Multipliers[first + row]);
            for (int i = 0; i < Panels.Columns; i += 16)
            {
                Vector512<float> value = division.Of(Vector512.ConvertToSingle(Vector512.Load((int*)c + i) - sum)) * scale;
                if (addend is not null)
                    value = Vector512.Load(addend + (row * Panels.Columns) + i) + value;
                value.Store(c + i);
            }
        }
    }
}

/// <summary>
/// Division by one float: by a correctly rounded reciprocal and one correction of the quotient (Markstein), which gives what the division does.
/// </summary>
internal readonly struct Division(float divisor)
{
    private readonly Vector512<float> _divisors = Vector512.Create(divisor);
    private readonly Vector512<float> _reciprocals = Vector512.Create(1f / divisor);

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public Vector512<float> Of(Vector512<float> dividend)
    {
        Vector512<float> quotient = dividend * _reciprocals;
        Vector512<float> rest = Vector512.FusedMultiplyAdd(-quotient, _divisors, dividend);
        return Vector512.FusedMultiplyAdd(rest, _reciprocals, quotient);
    }
}
