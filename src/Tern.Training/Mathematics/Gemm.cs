using System.Runtime.Intrinsics;
using Tern.Machine;

namespace Tern.Training.Mathematics;

/// <summary>
/// C = A · B over rows of activations: the forward product of a linear layer and the gradient of its input.
/// <code>
///   A  panels [K / 32][rows][32]      B  [N / 32][K][32]      C  panels [N / 32][rows][32]
/// </code>
/// With <see cref="Multipliers"/> the product is one of integers in floats (exact below 2^24) and becomes sum / multiplier · scale, as the engine
/// computes it.
/// </summary>
internal unsafe struct RowProduct
{
    // A tile of C is 96 rows by 16 panels: with K in blocks of 512 both operands stay in a second-level cache of 1 MB and more.
    private const int TileRows = 8 * GemmKernels.RowStrip;
    private const int TilePanels = 16;
    private const int BlockPanels = 16;

    public required Panels A { get; init; }

    /// <summary>[N / 32][K][32].</summary>
    public required float* B { get; init; }

    public required Panels C { get; init; }

    /// <summary>Rows to compute; those up to the next multiple of 12 are computed too and mean nothing.</summary>
    public required int Rows { get; init; }

    /// <summary>[Rows] divisors of the rows, or null.</summary>
    public float* Multipliers { get; init; }

    /// <summary>Factor of the whole product; used with <see cref="Multipliers"/> only.</summary>
    public float Scale { get; init; }

    /// <summary>[Rows] factors of the rows, or null.</summary>
    public float* RowFactors { get; init; }

    /// <summary>What is added to the product, or an empty matrix.</summary>
    public Panels Addend { get; init; }

    private readonly int RowTiles => (Rows + TileRows - 1) / TileRows;

    private readonly int PanelTiles => (C.Count + TilePanels - 1) / TilePanels;

    public void Run(WorkerPool pool)
    {
        fixed (RowProduct* self = &this)
            pool.Run(&Body, self, RowTiles * PanelTiles, 1);
    }

    private static void Body(void* state, int start, int end, int worker)
    {
        var self = (RowProduct*)state;
        for (int i = start; i < end; i++)
            self->Tile(i % self->RowTiles * TileRows, i / self->RowTiles * TilePanels);
    }

    private readonly void Tile(int firstRow, int firstPanel)
    {
        int rows = Math.Min(TileRows, Rows - firstRow);
        int panels = Math.Min(TilePanels, C.Count - firstPanel);
        int k = A.Count;
        for (int block = 0; block < k; block += BlockPanels)
        {
            int depth = Math.Min(BlockPanels, k - block);
            float* a = A.Panel(block);
            for (int panel = firstPanel; panel < firstPanel + panels; panel++)
            {
                float* b = B + (((nint)panel * A.Width + (block * Panels.Columns)) * Panels.Columns);
                float* c = C.Panel(panel);
                for (int row = firstRow; row < firstRow + rows; row += GemmKernels.RowStrip)
                {
                    nint offset = (nint)row * Panels.Columns;
                    GemmKernels.Rows12(a + offset, A.PanelFloats, b, depth, c + offset, block > 0);
                    if (block + depth == k)
                        Finish(row, panel);
                }
            }
        }
    }

    /// <summary>The steps after the sum, while the strip of C is in the first-level cache.</summary>
    private readonly void Finish(int first, int panel)
    {
        int rows = Math.Min(GemmKernels.RowStrip, Rows - first);
        float* c = C.Panel(panel) + ((nint)first * Panels.Columns);
        if (Multipliers is not null)
        {
            Vector512<float> scale = Vector512.Create(Scale);
            for (int row = 0; row < rows; row++)
            {
                var division = new Division(Multipliers[first + row]);
                for (float* at = c + (row * Panels.Columns), end = at + Panels.Columns; at < end; at += 16)
                    (division.Of(Vector512.Load(at)) * scale).Store(at);
            }
        }

        if (RowFactors is not null)
        {
            for (int row = 0; row < rows; row++)
            {
                Vector512<float> factor = Vector512.Create(RowFactors[first + row]);
                float* at = c + (row * Panels.Columns);
                (Vector512.Load(at) * factor).Store(at);
                (Vector512.Load(at + 16) * factor).Store(at + 16);
            }
        }

        if (Addend.Data != 0)
        {
            float* addend = Addend.Panel(panel) + ((nint)first * Panels.Columns);
            for (int i = 0; i < rows * Panels.Columns; i += 16)
                (Vector512.Load(addend + i) + Vector512.Load(c + i)).Store(c + i);
        }
    }
}

/// <summary>
/// C += Aᵀ · B, summed over rows of activations in their order: the gradient of a weight matrix.
/// <code>
///   A  panels [N / 32][rows][32]      B  panels [K / 32][rows][32]      C  [N, K] row-major
/// </code>
/// </summary>
internal unsafe struct ColumnProduct
{
    /// <summary>Rows of activations at a time: a panel of them is 24 KiB.</summary>
    private const int BlockRows = 192;

    private const int TilePanelsB = 16;

    public required Panels A { get; init; }

    public required Panels B { get; init; }

    public required float* C { get; init; }

    /// <summary>Rows of activations to sum over.</summary>
    public required int Rows { get; init; }

    private int _tilePanelsA;

    private readonly int TilesA => (A.Count + _tilePanelsA - 1) / _tilePanelsA;

    private readonly int TilesB => (B.Count + TilePanelsB - 1) / TilePanelsB;

    public void Run(WorkerPool pool)
    {
        // As large as leaves a dozen tiles to share; C has every tile computed by one worker, so its size changes no bit.
        _tilePanelsA = 4;
        while (_tilePanelsA > 1 && TilesA * TilesB < 12)
            _tilePanelsA /= 2;
        fixed (ColumnProduct* self = &this)
            pool.Run(&Body, self, TilesA * TilesB, 1);
    }

    private static void Body(void* state, int start, int end, int worker)
    {
        var self = (ColumnProduct*)state;
        for (int i = start; i < end; i++)
            self->Tile(i % self->TilesA * self->_tilePanelsA, i / self->TilesA * TilePanelsB);
    }

    private readonly void Tile(int firstA, int firstB)
    {
        int lastA = Math.Min(A.Count, firstA + _tilePanelsA), lastB = Math.Min(B.Count, firstB + TilePanelsB);
        for (int row = 0; row < Rows; row += BlockRows)
        {
            int rows = Math.Min(BlockRows, Rows - row);
            nint offset = (nint)row * Panels.Columns;
            for (int b = firstB; b < lastB; b++)
            {
                for (int a = firstA; a < lastA; a++)
                {
                    for (int strip = 0; strip < Panels.Columns; strip += GemmKernels.ColumnStrip)
                    {
                        float* c = C + ((((nint)a * Panels.Columns) + strip) * B.Width) + (b * Panels.Columns);
                        GemmKernels.Columns8(A.Panel(a) + offset + strip, B.Panel(b) + offset, rows, c, B.Width);
                    }
                }
            }
        }
    }
}
