using System.Runtime.Intrinsics;
using Tern.Machine;
using Tern.Training.Mathematics;

namespace Tern.Training.Weights;

/// <summary>How far quantization is blended in.</summary>
/// <param name="Linear">The quantizer.</param>
/// <param name="Blend">λ in [0, 1]: w + λ(q(w) - w), and the same of activations.</param>
internal readonly record struct QuantizerState(Quantizer Linear, float Blend)
{
    /// <summary>Products are sums of integers: ternary or binary weights without a blend.</summary>
    public bool IsInteger => Blend >= 1 && WeightQuantization.IsCodes(Linear.Precision);

    /// <summary>Activations are rounded to int8 per token, as far as the blend goes.</summary>
    public bool QuantizesActivations => Linear.Precision is not (LinearPrecision.Full or LinearPrecision.Integer);
}

/// <summary>
/// Linear layers that read the same activations (q k v; gate up; or one alone), quantized and packed for both directions.
/// <code>
///   Forward   [rows / 32][columns][32]    the transposed weights, for y = x Wᵀ: codes where products are integer, else values
///   Codes     the same as bytes, in the order of IntegerProduct, instead of Forward where the processor has that product
///   Backward  [columns / 32][rows][32]    the weights as values, for dx = dy W: the straight-through gradient sees what the forward pass used
/// </code>
/// </summary>
internal sealed unsafe class LinearGroup : IDisposable
{
    private readonly NativeBuffer<float> _forward;
    private readonly NativeBuffer<float> _backward;
    private readonly NativeBuffer<byte>? _codes;
    private readonly NativeBuffer<double> _sums; // [rows / 32][2]: Σ|w| and Σw of a panel of rows
    private readonly NativeBuffer<float> _scratch; // [threads][32][columns + 16]
    private readonly float[] _scales;

    public LinearGroup(Parameter[] parts, int threads)
    {
        Parts = parts;
        Rows = parts.Sum(p => p.Rows);
        Columns = parts[0].Columns;
        _forward = new NativeBuffer<float>((long)Rows * Columns);
        _backward = new NativeBuffer<float>((long)Rows * Columns);
        _codes = IntegerProduct.IsSupported ? new NativeBuffer<byte>((long)Rows * Columns) : null;
        _sums = new NativeBuffer<double>(Rows / Panels.Columns * 2);
        _scratch = new NativeBuffer<float>((long)threads * ScratchFloats);
        _scales = new float[parts.Length];
    }

    public IReadOnlyList<Parameter> Parts { get; }

    public int Rows { get; }

    public int Columns { get; }

    /// <summary>The weights as values, for the gradient of what the layers read.</summary>
    public float* Backward => _backward.Pointer;

    /// <summary>The transposed weights of a group of values, as <see cref="RowProduct.B"/> wants them.</summary>
    public float* Forward => _forward.Pointer;

    // A row of scratch is a little longer than the weights': rows at a distance of a power of two would share their places in the cache.
    private int ScratchStride => Columns + 16;

    private int ScratchFloats => Panels.Columns * ScratchStride;

    /// <summary>Quantizes and packs the present weights.</summary>
    public void Prepare(WorkerPool pool, float* masters, QuantizerState state)
    {
        float* weights = masters + Parts[0].Offset;
        var sums = new SumPass { Weights = weights, Columns = Columns, Sums = _sums.Pointer };
        if (WeightQuantization.IsCodes(state.Linear.Precision))
            sums.Run(pool, Rows / Panels.Columns);

        int first = 0;
        for (int i = 0; i < Parts.Count; i++)
        {
            Parameter part = Parts[i];
            (double magnitude, double mean) = MeansOf(first / Panels.Columns, part);
            _scales[i] = WeightQuantization.Scale(magnitude);
            var pack = new PackPass
            {
                Weights = weights,
                Rows = Rows,
                Columns = Columns,
                FirstRow = first,
                Precision = state.Linear.Precision,
                Bits = state.Linear.Bits,
                Scale = _scales[i],
                Mean = (float)mean,
                Blend = state.Blend,
                IsInteger = state.IsInteger,
                Forward = _forward.Pointer,
                Backward = _backward.Pointer,
                Codes = _codes is not null && state.IsInteger ? _codes.Pointer : null,
                Scratch = _scratch.Pointer,
                ScratchStride = ScratchStride,
            };
            pack.Run(pool, part.Rows / Panels.Columns);
            first += part.Rows;
        }
    }

    /// <summary>result = operand · Wᵀ + addend, the parts side by side.</summary>
    /// <param name="pool">Workers.</param>
    /// <param name="operand">Left operand.</param>
    /// <param name="isInteger">Whether the operand and these weights are codes.</param>
    /// <param name="result">[rows, Rows].</param>
    /// <param name="addend">As the result, or empty; for a group of one part.</param>
    /// <param name="rows">Rows of activations.</param>
    public void Multiply(WorkerPool pool, Operand operand, bool isInteger, Panels result, Panels addend, int rows)
    {
        for (int i = 0; i < Parts.Count; i++)
        {
            long offset = Parts[i].Offset - Parts[0].Offset;
            Panels columns = result.From((int)(offset / Columns), Parts[i].Rows);
            if (isInteger && _codes is not null)
            {
                new IntegerProduct
                {
                    A = operand.Codes,
                    Inputs = Columns,
                    B = _codes.Pointer + offset,
                    C = columns,
                    Rows = rows,
                    Sums = operand.Sums,
                    Multipliers = operand.Multipliers,
                    Scale = _scales[i],
                    Addend = addend,
                }.Run(pool);
            }
            else
            {
                new RowProduct
                {
                    A = operand.Values,
                    B = _forward.Pointer + offset,
                    C = columns,
                    Rows = rows,
                    Multipliers = isInteger ? operand.Multipliers : null,
                    Scale = _scales[i],
                    Addend = addend,
                }.Run(pool);
            }
        }
    }

    public void Dispose()
    {
        _forward.Dispose();
        _backward.Dispose();
        _codes?.Dispose();
        _sums.Dispose();
        _scratch.Dispose();
    }

    private (double Magnitude, double Mean) MeansOf(int firstPanel, Parameter part)
    {
        double magnitude = 0, sum = 0;
        for (int panel = firstPanel; panel < firstPanel + (part.Rows / Panels.Columns); panel++)
        {
            magnitude += _sums.Pointer[2 * panel];
            sum += _sums.Pointer[(2 * panel) + 1];
        }

        return (magnitude / part.Count, sum / part.Count);
    }

    private struct SumPass
    {
        public float* Weights;
        public int Columns;
        public double* Sums;

        public void Run(WorkerPool pool, int panels)
        {
            fixed (SumPass* self = &this)
                pool.Run(&Body, self, panels, 1);
        }

        private static void Body(void* state, int start, int end, int worker)
        {
            var self = (SumPass*)state;
            for (int panel = start; panel < end; panel++)
                (self->Sums[2 * panel], self->Sums[(2 * panel) + 1]) =
                    WeightQuantization.Sums(self->Weights + ((nint)panel * Panels.Columns * self->Columns), Panels.Columns, self->Columns);
        }
    }

    private struct PackPass
    {
        public float* Weights;
        public int Rows, Columns, FirstRow;
        public LinearPrecision Precision;
        public int Bits;
        public float Scale, Mean, Blend;
        public bool IsInteger;
        public float* Forward;
        public float* Backward;
        public byte* Codes;
        public float* Scratch;
        public int ScratchStride;

        public void Run(WorkerPool pool, int panels)
        {
            fixed (PackPass* self = &this)
                pool.Run(&Body, self, panels, 1);
        }

        private static void Body(void* state, int start, int end, int worker)
        {
            var self = (PackPass*)state;
            for (int panel = start; panel < end; panel++)
                self->Pack((self->FirstRow / Panels.Columns) + panel, self->Scratch + ((nint)worker * Panels.Columns * self->ScratchStride));
        }

        private readonly void Pack(int panel, float* rows)
        {
            for (int r = 0; r < Panels.Columns; r++)
            {
                int row = (panel * Panels.Columns) + r;
                float* source = Weights + ((nint)row * Columns);
                float* values = rows + (r * ScratchStride);
                Quantize(source, values);
                float factor = IsInteger ? Scale : 1;
                for (int column = 0; column < Columns; column += 16)
                    (Vector512.Load(values + column) * factor).Store(Backward + ((((nint)(column / Panels.Columns) * Rows) + row) * Panels.Columns) + (column % Panels.Columns));
            }

            if (Codes is not null)
            {
                PackCodes(rows, Codes + ((nint)panel * Columns * Panels.Columns));
                return;
            }

            float* destination = Forward + ((nint)panel * Columns * Panels.Columns);
            for (int column = 0; column < Columns; column++, destination += Panels.Columns)
                for (int r = 0; r < Panels.Columns; r++)
                    destination[r] = rows[(r * ScratchStride) + column];
        }

        /// <summary>Codes -1, 0, +1 become bytes 0, 1, 2; NaN becomes 0, and the masters tell.</summary>
        private readonly void PackCodes(float* rows, byte* panel)
        {
            for (int r = 0; r < Panels.Columns; r++)
            {
                float* codes = rows + (r * ScratchStride);
                for (int column = 0; column < Columns; column += 4)
                {
                    byte* place = panel + IntegerProduct.Place(r, column, Columns);
                    for (int i = 0; i < 4; i++)
                        place[i] = (byte)((int)codes[column + i] + 1);
                }
            }
        }

        private readonly void Quantize(float* source, float* values)
        {
            WeightQuantization.Row(Precision, Bits, source, Columns, Scale, Mean, values);
            if (IsInteger || Precision == LinearPrecision.Full)
                return;
            float factor = WeightQuantization.IsCodes(Precision) ? Scale : 1;
            for (int i = 0; i < Columns; i += 16)
            {
                Vector512<float> w = Vector512.Load(source + i);
                Vector512<float> q = Vector512.Load(values + i) * factor;
                (Blend >= 1 ? q : w + (Blend * (q - w))).Store(values + i);
            }
        }
    }
}
