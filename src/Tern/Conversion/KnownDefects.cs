using Tern.Files;
using Tern.Numerics;
using Tern.Text;
using Tern.Text.Templates;

namespace Tern.Conversion;

/// <summary>A defect of published files that the file itself gives away.</summary>
/// <param name="What">What is wrong.</param>
/// <param name="Change">What <c>tern fix</c> does about it.</param>
/// <param name="Key">The key that is set; null where tensors are written anew.</param>
/// <param name="Value">Its value.</param>
/// <param name="After">The key behind which a new one stands.</param>
internal sealed record Defect(string What, string Change, string? Key = null, object? Value = null, string? After = null);

/// <summary>
/// The known ones. Arrangements of I2_S are not among them: no file says which one it has, only a trial on a text does.
/// </summary>
internal static class KnownDefects
{
    /// <summary>The key that names the pre-tokenizer.</summary>
    public const string PreTokenizerKey = "tokenizer.ggml.pre";

    private const string ModelKey = "tokenizer.ggml.model", TemplateKey = "tokenizer.chat_template";
    private const string EosKey = "tokenizer.ggml.eos_token_id", EotKey = "tokenizer.ggml.eot_token_id";
    private const int Layers2B4T = 30, FeedForward2B4T = 6912;

    /// <summary>The defects of a model, in the order in which they are mended.</summary>
    /// <param name="source">The model.</param>
    /// <param name="preTokenizer">The pre-tokenizer that the caller knows it to have; null to go by its vocabulary.</param>
    public static IReadOnlyList<Defect> Of(ModelSource source, string? preTokenizer = null)
    {
        Metadata metadata = source.Metadata;
        var defects = new List<Defect>();
        if (LacksPreTokenizer(metadata) && PreTokenizerOf(metadata, preTokenizer) is { } pre)
            defects.Add(new Defect($"'{PreTokenizerKey}' is missing, so that every program assumes another pre-tokenizer", $"'{PreTokenizerKey}' set to '{pre}'", PreTokenizerKey, pre, ModelKey));

        bool is2B4T = metadata.String("general.architecture") is "bitnet-b1.58" or "bitnet-25" || Is2B4TAsBitNet(metadata);
        if (is2B4T && ChatTemplate.IsWrong2B4T(metadata))
        {
            defects.Add(new Defect($"'{TemplateKey}' is the wrong one of the first 2B-4T files (Human: … BITNETAssistant:)", $"'{TemplateKey}' set to that of the model's authors (User: … Assistant:)", TemplateKey, ChatTemplate.BitNet2B4T, TemplateKey));
            if (metadata.Find(EotKey) is null && metadata.Find(EosKey) is not null && EndOfTurn(metadata) is { } eot)
                defects.Add(new Defect($"'{EotKey}' is missing, so that answers do not end where the model ends them", $"'{EotKey}' set to {eot} (<|eot_id|>)", EotKey, (uint)eot, EosKey));
        }

        const string activation = "bitnet.hidden_activation";
        if (Is2B4TAsBitNet(metadata) && metadata.Find(activation) is null)
            defects.Add(new Defect($"'{activation}' is missing, and programs that know the architecture compute SiLU where 2B-4T has squared ReLU", $"'{activation}' set to 'relu2'", activation, "relu2", "bitnet.feed_forward_length"));
        int old = source.TensorsInOrder.Count(t => t.Type == TensorType.Q2_0_G128);
        if (old > 0)
            defects.Add(new Defect($"{old} tensors are Q2_0 in groups of 128, which llama.cpp does not read any more", $"{old} tensors written as Q2_0 in groups of 64, weight by weight the same"));
        return defects;
    }

    /// <summary>The metadata with the defects mended: keys that are new stand where files of today have them.</summary>
    public static Metadata Mend(Metadata metadata, IReadOnlyList<Defect> defects)
    {
        var mended = new Metadata(metadata.Path);
        Defect[] left = [.. defects.Where(d => d.Key is not null)];
        foreach (MetadataEntry entry in metadata.Entries)
        {
            Defect? replaced = Array.Find(left, d => d.Key == entry.Key);
            if (replaced is null)
                mended.TryAdd(entry);
            else
                mended.Set(entry.Key, replaced.Value!);
            foreach (Defect added in left.Where(d => d.After == entry.Key && d.Key != entry.Key && metadata.Find(d.Key!) is null))
                mended.Set(added.Key!, added.Value!);
        }

        foreach (Defect added in left.Where(d => mended.Find(d.Key!) is null))
            mended.Set(added.Key!, added.Value!);
        return mended;
    }

    /// <summary>Whether a byte-level vocabulary does not say how text is cut into words.</summary>
    public static bool LacksPreTokenizer(Metadata metadata) => metadata.String(ModelKey) == "gpt2" && string.IsNullOrEmpty(metadata.String(PreTokenizerKey));

    private static string? PreTokenizerOf(Metadata metadata, string? named)
    {
        if (named is null)
            return Tokenizer.GuessPreTokenizer(metadata);
        return PreTokenizers.Find(named)?.Name
            ?? throw new TernException(ErrorKind.Unsupported, $"pre-tokenizer {FileError.Quote(named)} is not known; known are {PreTokenizers.KnownNames}");
    }

    private static bool Is2B4TAsBitNet(Metadata metadata) =>
        metadata.String("general.architecture") == "bitnet" && metadata.Integer("bitnet.block_count") == Layers2B4T && metadata.Integer("bitnet.feed_forward_length") == FeedForward2B4T;

    private static int? EndOfTurn(Metadata metadata)
    {
        if (metadata.Strings("tokenizer.ggml.tokens") is not { } tokens)
            return null;
        for (int id = tokens.Count - 1; id >= 0; id--)
            if (tokens[id].SequenceEqual("<|eot_id|>"u8))
                return id;
        return null;
    }
}
