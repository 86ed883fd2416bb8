using Tern.Machine;
using Tern.Training;
using Tern.Training.Mathematics;
using Tern.Training.Weights;

namespace Tern.Tests.Training;

/// <summary>One ternary or binary linear layer with int8 activations: its results, and both gradients, are those of the plain layer on dequantized operands.</summary>
public sealed unsafe class StraightThroughTests
{
    private const int Rows = 37;
    private const int Inputs = 96;
    private const int Outputs = 64;

    public static TheoryData<string> Precisions => [nameof(LinearPrecision.Ternary), nameof(LinearPrecision.Binary)];

    [Theory]
    [MemberData(nameof(Precisions))]
    public void A_layer_and_its_gradients_equal_the_dequantized_layer(string precision)
    {
        using WorkerPool pool = TinyModels.Pool(2);
        using var layer = new Layer(pool, Enum.Parse<LinearPrecision>(precision));
        layer.Run(pool);
        double[,] x = layer.Activations(), w = layer.WeightValues();
        for (int t = 0; t < Rows; t++)
        {
            for (int n = 0; n < Outputs; n++)
                Close(Sum(Inputs, k => x[t, k] * w[n, k]), layer.Output(t, n), "y");
            for (int k = 0; k < Inputs; k++)
                Close(Sum(Outputs, n => layer.OutputGradient(t, n) * w[n, k]), layer.InputGradient(t, k), "dx");
        }

        for (int n = 0; n < Outputs; n++)
            for (int k = 0; k < Inputs; k++)
                Close(Sum(Rows, t => layer.OutputGradient(t, n) * x[t, k]), layer.WeightGradient(n, k), "dw");
    }

    [Fact]
    public void Binary_zero_is_plus_one()
    {
        float* weights = stackalloc float[16], codes = stackalloc float[16];
        new Span<float>(weights, 16).Clear();
        WeightQuantization.BinaryCodes(weights, 16, 0, codes);
        Assert.All(new Span<float>(codes, 16).ToArray(), code => Assert.Equal(1, code));
    }

    private static double Sum(int count, Func<int, double> term) => Enumerable.Range(0, count).Sum(term);

    private static void Close(double expected, float actual, string what) =>
        Assert.True(Math.Abs(expected - actual) <= 1e-5 * Math.Max(1, Math.Abs(expected)), $"{what}: {actual}, expected {expected}");

    /// <summary>A layer wired as the network wires it.</summary>
    private sealed class Layer : IDisposable
    {
        private readonly LinearPrecision _precision;
        private readonly LinearGroup _group;
        private readonly RowScratch _scratch = new(2, 2 * Inputs, 2);
        private readonly Arena _arena = new(1 << 17);
        private readonly NativeBuffer<float> _weights = new(Inputs * Outputs);
        private readonly Operand _operand;
        private readonly Panels _source, _output, _gradient, _scaled, _inputGradient;
        private readonly float* _weightGradient;

        public Layer(WorkerPool pool, LinearPrecision precision)
        {
            _precision = precision;
            _group = new LinearGroup([new Parameter("w", ParameterKind.Linear, Outputs, Inputs, 0)], pool.Threads);
            int padded = Panels.Padded(Rows);
            _source = _arena.Panels(padded, Inputs);
            _operand = new Operand(_arena, padded, Inputs);
            _output = _arena.Panels(padded, Outputs);
            _gradient = _arena.Panels(padded, Outputs);
            _scaled = _arena.Panels(padded, Outputs);
            _inputGradient = _arena.Panels(padded, Inputs);
            _weightGradient = _arena.Floats(Inputs * Outputs);
            var random = new Random(5);
            foreach (ref float w in _weights.Span)
                w = random.NextSingle() - 0.45f;
            Fill(_source, random);
            Fill(_gradient, random);
        }

        public void Run(WorkerPool pool)
        {
            _group.Prepare(pool, _weights.Pointer, new QuantizerState(new Quantizer { Precision = _precision }, 1));
            new OperandPass { Source = _source, Operand = _operand.Values, Blend = 1, Multipliers = _operand.Multipliers, Inverses = _operand.Inverses, Codes = IntegerProduct.IsSupported ? _operand.Codes : null, Sums = _operand.Sums, Scratch = _scratch.Pointers }.Run(pool, Rows);
            _group.Multiply(pool, _operand, isInteger: true, _output, default, Rows);
            for (int t = 0; t < Rows; t++)
                for (int n = 0; n < Outputs; n++)
                    *_scaled.At(t, n) = *_gradient.At(t, n) * _operand.Inverses[t];
            new ColumnProduct { A = _scaled, B = _operand.Values, C = _weightGradient, Rows = Rows }.Run(pool);
            new RowProduct { A = _scaled, B = _group.Backward, C = _inputGradient, Rows = Rows, RowFactors = _operand.Multipliers }.Run(pool);
        }

        /// <summary>The int8 definition in double.</summary>
        public double[,] Activations()
        {
            var x = new double[Rows, Inputs];
            for (int t = 0; t < Rows; t++)
            {
                float maximum = Enumerable.Range(0, Inputs).Max(k => MathF.Abs(*_source.At(t, k)));
                float multiplier = 127f / MathF.Max(maximum, 1e-5f);
                for (int k = 0; k < Inputs; k++)
                    x[t, k] = Math.Clamp(MathF.Round(*_source.At(t, k) * multiplier, MidpointRounding.ToEven), -128f, 127f) / (double)multiplier;
            }

            return x;
        }

        public double[,] WeightValues()
        {
            double mean = _weights.Span.ToArray().Average(w => (double)w);
            double magnitude = _weights.Span.ToArray().Average(w => Math.Abs((double)w));
            var values = new double[Outputs, Inputs];
            for (int n = 0; n < Outputs; n++)
                for (int k = 0; k < Inputs; k++)
                {
                    float w = _weights.Span[(n * Inputs) + k];
                    values[n, k] = magnitude * (_precision == LinearPrecision.Binary
                        ? w >= mean ? 1 : -1
                        : Math.Clamp(Math.Round(w / magnitude, MidpointRounding.ToEven), -1, 1));
                }

            return values;
        }

        public float Output(int t, int n) => *_output.At(t, n);

        public float OutputGradient(int t, int n) => *_gradient.At(t, n);

        public float InputGradient(int t, int k) => *_inputGradient.At(t, k);

        public float WeightGradient(int n, int k) => _weightGradient[(n * Inputs) + k];

        public void Dispose()
        {
            _group.Dispose();
            _scratch.Dispose();
            _arena.Dispose();
            _weights.Dispose();
        }

        private static void Fill(Panels panels, Random random)
        {
            for (int t = 0; t < Rows; t++)
                for (int k = 0; k < panels.Width; k++)
                    *panels.At(t, k) = (2 * random.NextSingle()) - 1;
        }
    }
}
