using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Tern.Training.Mathematics;

/// <summary>
/// A matrix of activations [rows, width] cut into panels of 32 columns, the one layout that every product wants: as left operand 12 rows stand
/// at a fixed distance, as right operand 32 columns of a row are together, and the result of a product is a run of memory.
/// <code>
///   panel 0                    panel 1
///   [row 0: columns 0..31]     [row 0: columns 32..63]     …  width / 32 panels, each of Stride rows
///   [row 1: columns 0..31]     [row 1: columns 32..63]
///   …
/// </code>
/// </summary>
/// <param name="Data">[width / 32][stride][32].</param>
/// <param name="Stride">Rows that a panel has room for; a multiple of 24 where kernels write whole strips.</param>
/// <param name="Width">Columns, a multiple of 32.</param>
internal readonly unsafe record struct Panels(nint Data, int Stride, int Width)
{
    public const int Columns = GemmKernels.Panel;

    /// <summary>Rows of a panel come in whole strips of both kernels.</summary>
    public const int RowGranule = 24;

    /// <summary>Floats from one panel to the next.</summary>
    public nint PanelFloats
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => (nint)Stride * Columns;
    }

    public int Count => Width / Columns;

    /// <summary>The 32 columns of a panel, row after row.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float* Panel(int index) => (float*)Data + (index * PanelFloats);

    /// <summary>The panels from column <paramref name="column"/> on, a multiple of 32.</summary>
    public Panels From(int column, int width) => new(Data + (column / Columns * PanelFloats * sizeof(float)), Stride, width);

    /// <summary>The same panels from row <paramref name="row"/> on.</summary>
    public Panels FromRow(int row) => new(Data + ((nint)row * Columns * sizeof(float)), Stride, Width);

    /// <summary>Rows of a buffer for <paramref name="rows"/> rows.</summary>
    public static int Padded(int rows) => (rows + RowGranule - 1) / RowGranule * RowGranule;

    /// <summary>Copies a row together.</summary>
    /// <param name="row">In [0, Stride).</param>
    /// <param name="destination">[Width].</param>
    public void Gather(int row, float* destination)
    {
        float* source = (float*)Data + ((nint)row * Columns);
        for (int i = 0; i < Width; i += Columns, source += PanelFloats)
        {
            Vector512.Load(source).Store(destination + i);
            Vector512.Load(source + 16).Store(destination + i + 16);
        }
    }

    /// <summary>Copies a row apart.</summary>
    /// <param name="source">[Width].</param>
    /// <param name="row">In [0, Stride).</param>
    public void Scatter(float* source, int row)
    {
        float* destination = (float*)Data + ((nint)row * Columns);
        for (int i = 0; i < Width; i += Columns, destination += PanelFloats)
        {
            Vector512.Load(source + i).Store(destination);
            Vector512.Load(source + i + 16).Store(destination + 16);
        }
    }

    /// <summary>Copies part of a row together.</summary>
    /// <param name="row">In [0, Stride).</param>
    /// <param name="column">A multiple of 16.</param>
    /// <param name="count">A multiple of 16.</param>
    /// <param name="destination">[count].</param>
    public void Gather(int row, int column, int count, float* destination)
    {
        for (int i = 0; i < count; i += 16)
            Vector512.Load(At(row, column + i)).Store(destination + i);
    }

    /// <summary>Copies part of a row apart; the parameters of <see cref="Gather(int, int, int, float*)"/>.</summary>
    public void Scatter(float* source, int row, int column, int count)
    {
        for (int i = 0; i < count; i += 16)
            Vector512.Load(source + i).Store(At(row, column + i));
    }

    /// <summary>The place of an element.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public float* At(int row, int column) => Panel(column / Columns) + ((nint)row * Columns) + (column % Columns);
}
