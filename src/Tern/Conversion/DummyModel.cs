using System.Runtime.InteropServices;
using Tern.Files;
using Tern.Numerics;
using Tern.Text;

namespace Tern.Conversion;

/// <summary>What a dummy model is made of.</summary>
/// <param name="Geometry">Its dimensions.</param>
/// <param name="Linears">Type of the linear layers.</param>
/// <param name="Embeddings">Type of the token embeddings, which are the output matrix too.</param>
/// <param name="Seed">The same seed gives the same file.</param>
internal sealed record DummyOptions(DummyGeometry Geometry, TensorType Linears, TensorType Embeddings, ulong Seed);

/// <summary>
/// Writes a GGUF file with the dimensions of a published model and random weights: what it says is noise, what it costs is real. It streams,
/// so a file of 25 GB needs a few megabytes of memory.
/// </summary>
internal static class DummyModel
{
    private const int ByteTokens = 256;
    private const int BosToken = ByteTokens;
    private const int EosToken = ByteTokens + 1;
    public const float NormEpsilon = 1e-5f;

    /// <summary>Writes the file.</summary>
    /// <param name="path">The file to write; replaced as a whole or not at all.</param>
    /// <param name="options">What to write.</param>
    /// <param name="progress">Receives the share that is written, in [0, 1].</param>
    /// <param name="cancellation">Stops between tensors; nothing is left behind.</param>
    /// <exception cref="TernException">The dimensions do not fit the tensor type, or the file cannot be written.</exception>
    public static void Write(string path, DummyOptions options, Action<double> progress, CancellationToken cancellation)
    {
        List<TensorSource> tensors = Tensors(options);
        long total = tensors.Sum(Bytes);
        long done = 0;
        GgufWriter.Write(path, Describe(path, options), [.. tensors.Select(t => t with { Write = Counted(t) })]);

        Action<Stream> Counted(TensorSource tensor) => stream =>
        {
            cancellation.ThrowIfCancellationRequested();
            tensor.Write(stream);
            done += Bytes(tensor);
            progress((double)done / total);
        };
    }

    /// <summary>Bytes of a tensor.</summary>
    public static long Bytes(TensorSource tensor) =>
        checked((long)(ulong)tensor.Type.ByteCount((ulong)tensor.Shape[0], tensor.Shape.Count > 1 ? (ulong)tensor.Shape[1] : 1));

    /// <summary>The metadata of the file.</summary>
    public static Metadata Describe(string path, DummyOptions options)
    {
        DummyGeometry g = options.Geometry;
        var metadata = new Metadata(path);
        DimensionKeys.Set(metadata, g.Architecture, g.VocabularySize, g.ContextLength, g.HiddenSize, g.Layers, g.FeedForwardSize, g.Heads, g.KvHeads, g.HeadDim, g.RopeBase, NormEpsilon);
        metadata.Set("general.name", $"dummy {g.Name} with random weights");
        metadata.Set("general.description", "Random weights in the dimensions of a published model, for measuring speed and memory; its text is noise.");
        metadata.Set("tokenizer.ggml.model", "gpt2");
        metadata.Set("tokenizer.ggml.pre", "gpt-2");
        metadata.Set("tokenizer.ggml.tokens", StringTable.From(Tokens(g.VocabularySize)));
        metadata.Set("tokenizer.ggml.token_type", TokenTypes(g.VocabularySize));
        metadata.Set("tokenizer.ggml.merges", StringTable.From([]));
        metadata.Set("tokenizer.ggml.bos_token_id", (uint)BosToken);
        metadata.Set("tokenizer.ggml.eos_token_id", (uint)EosToken);
        metadata.Set("tokenizer.ggml.add_bos_token", true);
        return metadata;
    }

    /// <summary>The 256 byte tokens as byte-level BPE spells them, begin, end, and unused tokens up to the vocabulary's size.</summary>
    private static IEnumerable<string> Tokens(int count)
    {
        for (int b = 0; b < ByteTokens; b++)
            yield return ByteAlphabet.Spell((byte)b).ToString();
        yield return "<|begin|>";
        yield return "<|end|>";
        for (int i = EosToken + 1; i < count; i++)
            yield return $"<|unused_{i}|>";
    }

    private static int[] TokenTypes(int count)
    {
        const int normal = 1, control = 3, unused = 5;
        var types = new int[count];
        for (int i = 0; i < count; i++)
            types[i] = i < ByteTokens ? normal : i <= EosToken ? control : unused;
        return types;
    }

    /// <summary>The tensors, whose random contents follow from the seed when they are written in this order.</summary>
    /// <exception cref="TernException">The dimensions do not fit the tensor type.</exception>
    public static List<TensorSource> Tensors(DummyOptions options)
    {
        DummyGeometry g = options.Geometry;
        var random = new RandomWeights(options.Seed);
        int hidden = g.HiddenSize;
        int queryWidth = g.Heads * g.HeadDim;
        int keyWidth = g.KvHeads * g.HeadDim;
        var tensors = new List<TensorSource> { Matrix("token_embd", options.Embeddings, g.VocabularySize, hidden), Norm("output_norm", hidden) };
        for (int i = 0; i < g.Layers; i++)
        {
            string p = $"blk.{i}.";
            tensors.Add(Norm(p + "attn_norm", hidden));
            tensors.Add(Norm(p + "ffn_norm", hidden));
            if (g.HasSubNorms)
            {
                tensors.Add(Norm(p + "attn_sub_norm", queryWidth));
                tensors.Add(Norm(p + "ffn_sub_norm", g.FeedForwardSize));
            }

            if (g.HasQueryKeyNorms)
            {
                tensors.Add(Norm(p + "attn_q_norm", g.HeadDim));
                tensors.Add(Norm(p + "attn_k_norm", g.HeadDim));
            }

            tensors.Add(Linear(p + "attn_q", queryWidth, hidden));
            tensors.Add(Linear(p + "attn_k", keyWidth, hidden));
            tensors.Add(Linear(p + "attn_v", keyWidth, hidden));
            tensors.Add(Linear(p + "attn_output", hidden, queryWidth));
            tensors.Add(Linear(p + "ffn_gate", g.FeedForwardSize, hidden));
            tensors.Add(Linear(p + "ffn_up", g.FeedForwardSize, hidden));
            tensors.Add(Linear(p + "ffn_down", hidden, g.FeedForwardSize));
        }

        return tensors;

        TensorSource Linear(string name, int rows, int columns) => Matrix(name, options.Linears, rows, columns);

        TensorSource Matrix(string name, TensorType type, int rows, int columns)
        {
            if (!type.FitsShape((ulong)columns, (ulong)rows) || !type.CanEncode)
                throw new TernException(ErrorKind.Request, $"{name} of {rows} x {columns} cannot be written as {type.Name}{(type.CanEncode ? $": {columns} columns are no whole blocks of {type.BlockSize}; take another --type or geometry" : "")}");
            float scale = 1 / MathF.Sqrt(columns);
            return new TensorSource(name + ".weight", type, [columns, rows], stream => random.Write(stream, type, columns, rows, scale));
        }

        TensorSource Norm(string name, int count) => new(name + ".weight", TensorType.F32, [count], stream =>
        {
            var ones = new float[count];
            Array.Fill(ones, 1f);
            stream.Write(MemoryMarshal.AsBytes(ones.AsSpan()));
        });
    }
}
