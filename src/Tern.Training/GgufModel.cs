using System.Runtime.InteropServices;
using Tern.Conversion;
using Tern.Files;
using Tern.Kernels;
using Tern.Machine;
using Tern.Models;
using Tern.Numerics;
using Tern.Training.Weights;

namespace Tern.Training;

/// <summary>
/// Models of the trainer as GGUF files and back. The architecture follows from the shape:
/// <code>
///   sub norms, squared ReLU     bitnet-b1.58      NEOX rope
///   sub norms, SiLU             bitnet            NEOX rope, bitnet.hidden_activation = silu
///   no sub norms, SiLU          llama             rope on adjacent pairs: rows of q and k are permuted,
///                                                 new[2i + half] = old[half · headDim / 2 + i] in each head
/// </code>
/// </summary>
internal static unsafe class GgufModel
{
    private const string TokenizerPrefix = "tokenizer.";

    /// <summary>Writes a model.</summary>
    /// <param name="path">Replaced as a whole.</param>
    /// <param name="shape">Dimensions.</param>
    /// <param name="parameters">The tensors.</param>
    /// <param name="weights">Flat masters.</param>
    /// <param name="quantizer">What the linear layers were trained for.</param>
    /// <param name="tokenizer">Its <c>tokenizer.*</c> keys are copied.</param>
    /// <param name="options">Types and name.</param>
    public static void Write(string path, ModelShape shape, ParameterSet parameters, NativeBuffer<float> weights, Quantizer quantizer, Metadata tokenizer, ExportOptions options)
    {
        Check(shape, parameters, quantizer, options);
        CheckTokens(shape, tokenizer);
        string architecture = ArchitectureOf(shape);
        bool permutes = architecture == "llama";
        List<TensorSource> tensors = [];
        foreach (Parameter parameter in parameters.All)
            tensors.Add(Source(parameter, shape, weights, quantizer, options, permutes));
        GgufWriter.Write(path, Describe(path, architecture, shape, tokenizer, options), tensors);
    }

    /// <summary>Refuses what cannot be written, whatever the weights are.</summary>
    /// <exception cref="TernException">There is no architecture for the shape, or a type does not fit precision or shape.</exception>
    public static void Check(ModelShape shape, ParameterSet parameters, Quantizer quantizer, ExportOptions options)
    {
        ArchitectureOf(shape);
        LinearPrecision[] wanted = options.Linears.IsTernary ? [LinearPrecision.Ternary, LinearPrecision.Binary]
            : options.Linears == TensorType.Q1_0 ? [LinearPrecision.Binary]
            : Enum.GetValues<LinearPrecision>();
        if (!wanted.Contains(quantizer.Precision))
            throw new TernException(ErrorKind.Request, $"linear layers of the precision {quantizer.Precision} cannot be written as {options.Linears.Name}, which holds {string.Join(" and ", wanted)} ones: export F16, or train them so");
        if (options.Embeddings.IsTernary || options.Embeddings == TensorType.Q1_0)
            throw new TernException(ErrorKind.Request, $"embeddings are trained in full precision and cannot be written as {options.Embeddings.Name}: export them as F16 or Q8_0");
        foreach (Parameter parameter in parameters.All.Where(p => p.Kind != ParameterKind.Norm))
        {
            TensorType type = TypeOf(parameter, options);
            int rows = RowsOf(parameter, shape);
            if (!type.CanEncode || !type.FitsShape((UInt128)parameter.Columns, (UInt128)rows))
                throw new TernException(ErrorKind.Request, $"{parameter.Name} of {rows} x {parameter.Columns} cannot be written as {type.Name}{(type.CanEncode ? $": {parameter.Columns} columns are no whole blocks of {type.BlockSize}" : "")}; choose another type");
        }
    }

    /// <summary>Bytes that <see cref="Write"/> takes at most: the values of the largest tensor, in their order and in that of the file, and what they become.</summary>
    public static long BytesToWrite(ModelShape shape) => 3L * sizeof(float) * shape.Hidden * Math.Max(shape.Vocabulary, Math.Max(shape.FeedForward, shape.QueryWidth));

    /// <summary>The shape of a model in a file, its vocabulary filled up.</summary>
    /// <param name="file">Opened.</param>
    /// <param name="context">Longest sequence that will be trained.</param>
    /// <param name="subNorms">Whether it is to have sub norms; they are inserted where it has none. Null takes it as it is.</param>
    /// <exception cref="TernException">Something in it the trainer does not have; the message names it.</exception>
    public static ModelShape ShapeOf(ModelSource file, int context, bool? subNorms)
    {
        ModelSpec spec = Model.ReadSpec(file, _ => { });
        string? unknown = spec.HasQueryKeyNorms ? "norms on queries and keys"
            : spec.HasPostNorms ? "norms behind blocks"
            : spec.HasInputNorms ? "norms in front of each linear layer"
            : spec.EmbeddingScale != 1 ? "scaled embeddings"
            : spec.SlidingWindow > 0 ? "a sliding window"
            : spec.Rope.Scaling != RopeScaling.None ? "scaled rotary positions"
            : spec.Rope.Dimensions != spec.HeadDim ? "partly rotated heads"
            : file.Tensors.ContainsKey("rope_freqs.weight") ? "rotary frequencies of its own"
            : spec.Activation == GateFunction.Gelu ? "GELU"
            : null;
        if (unknown is not null)
            throw FileError.Whole(ErrorKind.Unsupported, file.Metadata.Path, "architecture", $"the model has {unknown}, which the trainer does not know", "models of the architectures llama, bitnet and bitnet-b1.58 can be trained");
        if (spec.HasSubNorms && subNorms == false)
            throw FileError.Whole(ErrorKind.Request, file.Metadata.Path, "architecture", "the model has sub norms, which its weights were trained with and which cannot be taken out", "leave subNorms out");
        var shape = new ModelShape
        {
            Layers = spec.Layers,
            Hidden = spec.HiddenSize,
            Heads = spec.Heads,
            KvHeads = spec.KvHeads,
            HeadDim = spec.HeadDim,
            FeedForward = spec.FeedForwardSize,
            Vocabulary = ModelShape.Granule,
            Context = context,
            RopeBase = (float)spec.Rope.Base,
            Epsilon = spec.NormEpsilon,
            Activation = spec.Activation == GateFunction.Silu ? FeedForwardActivation.Silu : FeedForwardActivation.SquaredRelu,
            SubNorms = subNorms ?? spec.HasSubNorms,
            TiedHead = spec.TiedEmbeddings,
        }.WithTokens(spec.VocabularySize);
        shape.Validate(file.Metadata.Path);
        return shape;
    }

    /// <summary>
    /// Fills the flat array from a file of that shape; sub norms that the file does not have get the gain 1, tokens zeros. Ternary weights that go
    /// on as ternary ones are masters that round to them: those of the file if it has them, else codes times a scale s such that mean|W|, which
    /// counts zeros, is the scale of the file again.
    /// </summary>
    /// <param name="file">Opened.</param>
    /// <param name="parameters">The tensors.</param>
    /// <param name="headDim">Dimensions of a head.</param>
    /// <param name="precision">What the linear layers will compute with.</param>
    /// <param name="weights">Flat.</param>
    /// <exception cref="TernException">A tensor is missing, of another shape, or holds what is no number.</exception>
    public static void Read(ModelSource file, ParameterSet parameters, int headDim, LinearPrecision precision, NativeBuffer<float> weights)
    {
        ModelSpec spec = Model.ReadSpec(file, _ => { });
        bool permutes = spec.Rope.Style == RopeStyle.Adjacent;
        HashSet<Parameter?> inserted = spec.HasSubNorms ? [] : [.. parameters.Layers.SelectMany(layer => new[] { layer.AttentionSubNorm, layer.FeedForwardSubNorm })];
        var binder = new TensorBinder(file);
        var tensors = new List<Tensor>();
        foreach (Parameter parameter in parameters.All)
        {
            if (inserted.Contains(parameter))
                weights.Part(parameter.Offset, parameter.Columns).Fill(1);
            else if (parameter.Kind == ParameterKind.Norm)
                binder.Norm(parameter.Name + ".weight", parameter.Columns).Row(0).CopyTo(weights.Part(parameter.Offset, parameter.Columns));
            else
                tensors.Add(binder.Matrix(parameter.Name + ".weight", RowsInFile(parameter), parameter.Columns));
        }

        binder.Finish(_ => { });
        int next = 0;
        foreach (Parameter parameter in parameters.All.Where(p => p.Kind != ParameterKind.Norm))
        {
            Tensor tensor = tensors[next++];
            for (int row = 0; row < parameter.Rows; row++)
            {
                Span<float> values = weights.Part(parameter.Offset + ((long)row * parameter.Columns), parameter.Columns);
                if (row >= RowsInFile(parameter))
                {
                    values.Clear();
                    continue;
                }

                int source = permutes && IsRotated(parameter) ? PermutedRow(row, headDim) : row;
                if (precision == LinearPrecision.Ternary && tensor.Type is MasterTernaryType masters)
                    masters.DecodeMasters(tensor, source, values);
                else
                    tensor.DecodeRow(source, values);
                if (values.ContainsAnyExceptInRange(float.MinValue, float.MaxValue))
                    throw tensor.Error(ErrorKind.Semantic, 0, $"row {row} holds NaN or an infinity; the file is damaged");
            }

            if (precision == LinearPrecision.Ternary && parameter.Kind != ParameterKind.Embedding && tensor.Type.IsTernary && tensor.Type is not MasterTernaryType)
                CountZeros(parameter, weights);
        }

        int RowsInFile(Parameter parameter) => parameter.Kind == ParameterKind.Embedding ? spec.VocabularySize : parameter.Rows;
    }

    /// <summary>Brings the mean magnitude of ternary weights, which is their scale in training, to the magnitude of those that are not zero.</summary>
    private static void CountZeros(Parameter parameter, NativeBuffer<float> weights)
    {
        long zeros = 0;
        for (int row = 0; row < parameter.Rows; row++)
            zeros += weights.Part(parameter.Offset + ((long)row * parameter.Columns), parameter.Columns).Count(0f);
        float factor = zeros == parameter.Count ? 1 : (float)(parameter.Count / (double)(parameter.Count - zeros));
        for (int row = 0; row < parameter.Rows; row++)
            foreach (ref float weight in weights.Part(parameter.Offset + ((long)row * parameter.Columns), parameter.Columns))
                weight *= factor;
    }

    private static string ArchitectureOf(ModelShape shape) => (shape.SubNorms, shape.Activation) switch
    {
        (true, FeedForwardActivation.SquaredRelu) => "bitnet-b1.58",
        (true, _) => "bitnet",
        (false, FeedForwardActivation.Silu) => "llama",
        _ => throw new TernException(ErrorKind.Request, "no architecture of GGUF has squared ReLU without sub norms: set subNorms, or activation silu"),
    };

    private static void CheckTokens(ModelShape shape, Metadata tokenizer)
    {
        if (tokenizer.Strings("tokenizer.ggml.tokens") is not { } tokens)
            throw tokenizer.Missing("tokenizer.ggml.tokens", "a model is written with its tokenizer");
        if (tokens.Count > shape.TokenRows)
            throw tokenizer.Semantic(tokenizer.Find("tokenizer.ggml.tokens")!, $"{tokens.Count} tokens do not fit the model's vocabulary of {shape.TokenRows}");
    }

    private static Metadata Describe(string path, string a, ModelShape shape, Metadata tokenizer, ExportOptions options)
    {
        var metadata = new Metadata(path);
        DimensionKeys.Set(metadata, a, shape.TokenRows, shape.Context, shape.Hidden, shape.Layers, shape.FeedForward, shape.Heads, shape.KvHeads, shape.HeadDim, shape.RopeBase, shape.Epsilon);
        metadata.Set("general.name", options.Name);
        if (a == "bitnet")
            metadata.Set("bitnet.hidden_activation", "silu");
        foreach (MetadataEntry entry in tokenizer.Entries.Where(e => e.Key.StartsWith(TokenizerPrefix, StringComparison.Ordinal)))
            metadata.TryAdd(entry);
        return metadata;
    }

    private static int RowsOf(Parameter parameter, ModelShape shape) => parameter.Kind == ParameterKind.Embedding ? shape.TokenRows : parameter.Rows;

    private static TensorType TypeOf(Parameter parameter, ExportOptions options) => parameter.Kind == ParameterKind.Embedding ? options.Embeddings : options.Linears;

    private static TensorSource Source(Parameter parameter, ModelShape shape, NativeBuffer<float> weights, Quantizer quantizer, ExportOptions options, bool permutes)
    {
        string name = parameter.Name + ".weight";
        if (parameter.Kind == ParameterKind.Norm)
            return new TensorSource(name, TensorType.F32, [parameter.Columns], stream => stream.Write(MemoryMarshal.AsBytes(weights.Part(parameter.Offset, parameter.Columns))));

        TensorType type = TypeOf(parameter, options);
        int rows = RowsOf(parameter, shape);
        return new TensorSource(name, type, [parameter.Columns, rows], stream =>
        {
            var values = new float[(long)rows * parameter.Columns];
            if (parameter.Kind == ParameterKind.Embedding)
                weights.Part(parameter.Offset, values.Length).CopyTo(values);
            else
                Effective(parameter, weights, quantizer, values);
            if (permutes && IsRotated(parameter))
                values = Permute(values, parameter, shape.HeadDim);
            var bytes = new byte[checked((int)(ulong)type.ByteCount((UInt128)parameter.Columns, (UInt128)rows))];
            type.Encode(values, parameter.Columns, bytes);
            stream.Write(bytes);
        });
    }

    /// <summary>The weights that the forward pass computes with.</summary>
    private static void Effective(Parameter parameter, NativeBuffer<float> weights, Quantizer quantizer, float[] values)
    {
        float* masters = weights.Pointer + parameter.Offset;
        (double magnitude, double mean) = WeightQuantization.PanelSums(masters, parameter.Rows, parameter.Columns);
        float scale = WeightQuantization.Scale(magnitude / parameter.Count);
        fixed (float* first = values)
        {
            for (int row = 0; row < parameter.Rows; row++)
            {
                float* result = first + ((long)row * parameter.Columns);
                WeightQuantization.Row(quantizer.Precision, quantizer.Bits, masters + ((long)row * parameter.Columns), parameter.Columns, scale, (float)(mean / parameter.Count), result);
                if (!WeightQuantization.IsCodes(quantizer.Precision))
                    continue;
                for (int i = 0; i < parameter.Columns; i++)
                    result[i] *= scale;
            }
        }
    }

    private static bool IsRotated(Parameter parameter) =>
        parameter.Name.EndsWith(".attn_q", StringComparison.Ordinal) || parameter.Name.EndsWith(".attn_k", StringComparison.Ordinal);

    /// <summary>Where the row with halves order <paramref name="row"/> stands in the order of adjacent pairs.</summary>
    private static int PermutedRow(int row, int headDim)
    {
        (int head, int within) = Math.DivRem(row, headDim);
        (int half, int pair) = Math.DivRem(within, headDim / 2);
        return (head * headDim) + (2 * pair) + half;
    }

    private static float[] Permute(float[] values, Parameter parameter, int headDim)
    {
        var permuted = new float[values.Length];
        for (int row = 0; row < parameter.Rows; row++)
            values.AsSpan(row * parameter.Columns, parameter.Columns).CopyTo(permuted.AsSpan(PermutedRow(row, headDim) * parameter.Columns));
        return permuted;
    }
}
