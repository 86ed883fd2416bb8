using Tern.Machine;
using Tern.Training;
using Tern.Training.Weights;
using Workspace = Tern.Training.Workspace;

namespace Tern.Tests.Training;

/// <summary>
/// The way back of a network of integer products, in which gradients stand divided and multiplied by the multipliers of rows, against that of the
/// same network with the values that the codes stand for: a blend just below one takes the path of floats.
/// </summary>
public sealed unsafe class IntegerGradientTests
{
    private const int Sequences = 2, Length = 37;

    [Theory]
    [InlineData("bitnet", nameof(LinearPrecision.Ternary))]
    [InlineData("bitnet", nameof(LinearPrecision.Binary))]
    [InlineData("llama", nameof(LinearPrecision.Ternary))]
    [InlineData("llama", nameof(LinearPrecision.Binary))]
    public void Every_gradient_is_that_of_the_values(string name, string precision)
    {
        ModelShape shape = TinyModels.Of(name);
        var quantizer = new Quantizer { Precision = Enum.Parse<LinearPrecision>(precision) };
        using WorkerPool pool = TinyModels.Pool(2);
        using var trainer = new Trainer(shape, TinyModels.Recipe(quantizer.Precision), 7, pool, null);
        TinyModels.Train(trainer, 3, firstSeed: 0);
        float[] integers = Gradients(new QuantizerState(quantizer, 1)), floats = Gradients(new QuantizerState(quantizer, MathF.BitDecrement(1)));
        foreach (Parameter parameter in trainer.Tensors.All)
        {
            double error = 0, size = 0;
            for (long i = parameter.Offset; i < parameter.Offset + parameter.Count; i++)
            {
                error += Math.Pow((double)integers[i] - floats[i], 2);
                size += Math.Pow(floats[i], 2);
            }

            Assert.True(size > 0, $"{parameter.Name} has no gradient");
            // Float sums in another order move an activation over a rounding edge here and there, by one part in 127, and all layers behind it by
            // rounding again; a multiplier that is missing or of another operand is a factor of its own size.
            Assert.True(Math.Sqrt(error / size) <= 3.0 / 127, $"{parameter.Name}: the gradients differ by {Math.Sqrt(error / size):g3} of their norm");
        }

        float[] Gradients(QuantizerState state)
        {
            using var network = new Network(shape, trainer.Tensors, pool);
            using var gradients = new NativeBuffer<float>(trainer.Parameters);
            network.Prepare(trainer.EditWeights().Pointer, state);
            Workspace space = network.Reserve(Sequences * Length);
            var random = new Random(3);
            for (int i = 0; i < Sequences * Length; i++)
                (space.Inputs[i], space.Targets[i]) = (random.Next(shape.Vocabulary), random.Next(shape.Vocabulary));
            network.Forward(Sequences, Length);
            network.HeadLoss(1f / (Sequences * Length), gradients.Pointer, null);
            network.Back(Sequences, Length, gradients.Pointer, null);
            return gradients.Span.ToArray();
        }
    }
}
