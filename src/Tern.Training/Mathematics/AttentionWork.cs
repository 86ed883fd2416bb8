using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Tern.Machine;

namespace Tern.Training.Mathematics;

/// <summary>One run of <see cref="AttentionPass"/> over all sequences and key heads.</summary>
internal sealed unsafe class AttentionWork(AttentionPass pass, AttentionShape shape, bool isBack)
{
    private readonly int _head = shape.HeadDim;
    private readonly int _paddedHead = shape.PaddedHead;
    private readonly int _paddedLength = (pass.Length + Panels.Columns - 1) / Panels.Columns * Panels.Columns;
    private readonly int _group = shape.Heads / shape.KvHeads;

    public void Run(WorkerPool pool)
    {
        var self = GCHandle.Alloc(this);
        try
        {
            pool.Run(&Body, (void*)GCHandle.ToIntPtr(self), pass.Sequences * shape.KvHeads, 1);
        }
        finally
        {
            self.Free();
        }
    }

    private static void Body(void* state, int start, int end, int worker)
    {
        var self = (AttentionWork)GCHandle.FromIntPtr((nint)state).Target!;
        for (int i = start; i < end; i++)
            self.Unit(i, worker);
    }

    private void Unit(int unit, int worker)
    {
        (int sequence, int keyHead) = Math.DivRem(unit, shape.KvHeads);
        int firstRow = sequence * pass.Length;
        AttentionScratch scratch = shape.Scratch(worker);
        LoadKeys(scratch, firstRow, keyHead);
        if (isBack)
        {
            new Span<float>(scratch.KeyGradient, _paddedLength * _paddedHead).Clear();
            new Span<float>(scratch.ValueGradient, _paddedLength * _paddedHead).Clear();
        }

        for (int head = keyHead * _group; head < (keyHead + 1) * _group; head++)
        {
            for (int block = 0; block < pass.Length; block += AttentionScratch.BlockRows)
            {
                int rows = Math.Min(AttentionScratch.BlockRows, pass.Length - block);
                if (isBack)
                    BackBlock(scratch, firstRow, head, block, rows);
                else
                    ForwardBlock(scratch, firstRow, head, block, rows);
            }
        }

        if (isBack)
            StoreKeyGradients(scratch, firstRow, keyHead);
    }

    /// <summary>Brings the keys, rotated, and the values of one head into the orders of <see cref="AttentionScratch"/>.</summary>
    private void LoadKeys(AttentionScratch scratch, int firstRow, int keyHead)
    {
        int keyColumn = (shape.Heads + keyHead) * _head, valueColumn = keyColumn + (shape.KvHeads * _head);
        float* key = scratch.Row, value = scratch.Row + _paddedHead;
        new Span<float>(scratch.Row, 2 * _paddedHead).Clear();
        for (int t = 0; t < _paddedLength; t++)
        {
            if (t < pass.Length)
            {
                pass.QueryKeyValue.Gather(firstRow + t, keyColumn, _head, key);
                pass.QueryKeyValue.Gather(firstRow + t, valueColumn, _head, value);
                EngineOperations.Best.RopeHalves(key, shape.Angles(t), _head / 2);
            }
            else
            {
                new Span<float>(scratch.Row, 2 * _paddedHead).Clear();
            }

            StoreRow(key, t, scratch.KeyColumns, isBack ? scratch.KeyRows : null);
            StoreRow(value, t, isBack ? scratch.ValueColumns : null, scratch.ValueRows);
        }
    }

    private void StoreRow(float* row, int t, float* columns, float* rows)
    {
        if (columns is not null)
        {
            float* at = columns + ((nint)(t / Panels.Columns) * _paddedHead * Panels.Columns) + (t % Panels.Columns);
            for (int i = 0; i < _paddedHead; i++)
                at[i * Panels.Columns] = row[i];
        }

        if (rows is null)
            return;
        for (int i = 0; i < _paddedHead; i += 16)
            Vector512.Load(row + i).Store(rows + ((((nint)(i / Panels.Columns) * _paddedLength) + t) * Panels.Columns) + (i % Panels.Columns));
    }

    private void ForwardBlock(AttentionScratch scratch, int firstRow, int head, int block, int rows)
    {
        int panels = (block + rows + Panels.Columns - 1) / Panels.Columns;
        LoadQueries(scratch, firstRow, head, block, rows);
        Multiply(scratch.Query, scratch.KeyColumns, _paddedHead, rows, scratch.Probabilities, panels);
        float* sums = scratch.Row + (2 * _paddedHead);
        for (int i = 0; i < rows; i++)
        {
            (float max, float sum) = AttentionPass.Exponentials(scratch.Probabilities, i, block + i, panels);
            pass.LogSums[((nint)head * pass.Context.Stride) + firstRow + block + i] = max + MathF.Log(sum);
            sums[i] = sum;
        }

        Multiply(scratch.Probabilities with { Width = panels * Panels.Columns }, scratch.ValueRows, _paddedLength, rows, scratch.Output, _paddedHead / Panels.Columns);
        for (int i = 0; i < rows; i++)
        {
            scratch.Output.Gather(i, scratch.Row);
            Vector512<float> factor = Vector512.Create(1f / sums[i]);
            for (int j = 0; j < _head; j += 16)
                (Vector512.Load(scratch.Row + j) * factor).Store(scratch.Row + j);
            pass.Context.Scatter(scratch.Row, firstRow + block + i, head * _head, _head);
        }
    }

    private void BackBlock(AttentionScratch scratch, int firstRow, int head, int block, int rows)
    {
        int panels = (block + rows + Panels.Columns - 1) / Panels.Columns;
        float* products = scratch.Row + (2 * _paddedHead);
        LoadQueries(scratch, firstRow, head, block, rows);
        LoadContextGradients(scratch, firstRow, head, block, rows, products);
        Multiply(scratch.Query, scratch.KeyColumns, _paddedHead, rows, scratch.Probabilities, panels);
        Multiply(scratch.Gradient, scratch.ValueColumns, _paddedHead, rows, scratch.ScoreGradient, panels);
        for (int i = 0; i < rows; i++)
            AttentionPass.ScoreGradient(scratch.Probabilities, scratch.ScoreGradient, i, block + i, panels, pass.LogSums[((nint)head * pass.Context.Stride) + firstRow + block + i], products[i]);

        Multiply(scratch.ScoreGradient with { Width = panels * Panels.Columns }, scratch.KeyRows, _paddedLength, rows, scratch.Output, _paddedHead / Panels.Columns);
        AddTransposed(scratch.ScoreGradient, scratch.Query, rows, panels, scratch.KeyGradient);
        AddTransposed(scratch.Probabilities, scratch.Gradient, rows, panels, scratch.ValueGradient);
        for (int i = 0; i < rows; i++)
        {
            scratch.Output.Gather(i, scratch.Row);
            StoreGradient(scratch.Row, shape.Scale, firstRow + block + i, block + i, head * _head);
        }
    }

    /// <summary>Rotated queries, times the scale of scores.</summary>
    private void LoadQueries(AttentionScratch scratch, int firstRow, int head, int block, int rows)
    {
        new Span<float>(scratch.Row, _paddedHead).Clear();
        for (int i = 0; i < rows; i++)
        {
            pass.QueryKeyValue.Gather(firstRow + block + i, head * _head, _head, scratch.Row);
            EngineOperations.Best.RopeHalves(scratch.Row, shape.Angles(block + i), _head / 2);
            for (int j = 0; j < _head; j += 16)
                (Vector512.Load(scratch.Row + j) * shape.Scale).Store(scratch.Row + j);
            scratch.Query.Scatter(scratch.Row, i);
        }
    }

    private void LoadContextGradients(AttentionScratch scratch, int firstRow, int head, int block, int rows, float* products)
    {
        float* output = scratch.Row + _paddedHead;
        new Span<float>(scratch.Row, _paddedHead).Clear();
        for (int i = 0; i < rows; i++)
        {
            pass.ContextGradient.Gather(firstRow + block + i, head * _head, _head, scratch.Row);
            pass.Context.Gather(firstRow + block + i, head * _head, _head, output);
            Vector512<float> sums = default;
            for (int j = 0; j < _head; j += 16)
                sums = Vector512.FusedMultiplyAdd(Vector512.Load(scratch.Row + j), Vector512.Load(output + j), sums);
            products[i] = Vector512.Sum(sums);
            scratch.Gradient.Scatter(scratch.Row, i);
        }
    }

    private void StoreKeyGradients(AttentionScratch scratch, int firstRow, int keyHead)
    {
        int keyColumn = (shape.Heads + keyHead) * _head, valueColumn = keyColumn + (shape.KvHeads * _head);
        for (int t = 0; t < pass.Length; t++)
        {
            StoreGradient(scratch.KeyGradient + ((nint)t * _paddedHead), 1, firstRow + t, t, keyColumn);
            StoreGradient(scratch.ValueGradient + ((nint)t * _paddedHead), 1, firstRow + t, -1, valueColumn);
        }
    }

    /// <summary>Turns a row of one head back from its position (none when negative) and writes it, times its factors.</summary>
    private void StoreGradient(float* gradient, float scale, int row, int position, int column)
    {
        if (position >= 0)
            EngineOperations.Best.RopeHalves(gradient, shape.BackAngles(position), _head / 2);
        Vector512<float> factor = Vector512.Create(pass.Factors is null ? scale : scale * pass.Factors[row]);
        for (int j = 0; j < _head; j += 16)
            (Vector512.Load(gradient + j) * factor).Store(gradient + j);
        pass.Gradient.Scatter(gradient, row, column, _head);
    }

    /// <summary>c = a · b for one block of rows; b is [panels][depth][32].</summary>
    private static void Multiply(Panels a, float* b, int depth, int rows, Panels c, int panels)
    {
        for (int panel = 0; panel < panels; panel++)
            for (nint row = 0; row < rows; row += GemmKernels.RowStrip)
                GemmKernels.Rows12((float*)a.Data + (row * Panels.Columns), a.PanelFloats, b + ((nint)panel * depth * Panels.Columns), a.Count, c.Panel(panel) + (row * Panels.Columns), accumulate: false);
    }

    /// <summary>c[position, head] += Σ rows a[row, position] · b[row, head].</summary>
    private void AddTransposed(Panels a, Panels b, int rows, int panels, float* c)
    {
        for (int column = 0; column < b.Count; column++)
            for (int panel = 0; panel < panels; panel++)
                for (int strip = 0; strip < Panels.Columns; strip += GemmKernels.ColumnStrip)
                    GemmKernels.Columns8(a.Panel(panel) + strip, b.Panel(column), rows, c + ((((nint)panel * Panels.Columns) + strip) * _paddedHead) + (column * Panels.Columns), _paddedHead);
    }
}
