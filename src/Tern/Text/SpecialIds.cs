using System.Globalization;
using Tern.Files;

namespace Tern.Text;

/// <summary>What holds for a kind of tokenizer where the file says nothing; ids are -1 where there is none.</summary>
internal readonly record struct SpecialDefaults(int Bos, int Eos, int Unknown, bool AddBos, bool AddEos);

/// <summary>Begin, end and unknown tokens of a model, and whether they are added around a text. Ids are -1 where there is no such token.</summary>
internal sealed record SpecialIds(int Bos, int Eos, int Unknown, bool AddBos, bool AddEos, IReadOnlySet<int> Stops)
{
    private const string Prefix = "tokenizer.ggml.";

    /// <summary>Every key that holds a token id; all are checked, also those that nothing uses.</summary>
    private static readonly string[] s_idKeys =
    [
        "bos_token_id", "eos_token_id", "eot_token_id", "eom_token_id", "unknown_token_id", "padding_token_id", "seperator_token_id",
        "separator_token_id", "mask_token_id", "cls_token_id", "fim_pre_token_id", "fim_suf_token_id", "fim_mid_token_id", "fim_pad_token_id",
        "fim_rep_token_id", "fim_sep_token_id", "prefix_token_id", "suffix_token_id", "middle_token_id",
    ];

    /// <summary>Keys whose tokens end an answer.</summary>
    private static readonly string[] s_stopKeys = ["eos_token_id", "eot_token_id", "eom_token_id"];

    /// <summary>All tokens that end an answer, for models with more of them than there are keys; an array of 32-bit integers, as Ollama's files have it.</summary>
    private const string StopsKey = "eos_token_ids";

    /// <summary>
    /// Spellings of tokens that end an answer in the chat formats in use, whether or not a key says so. Files often name one end token and let their
    /// template end turns with another: the official BitNet 2B-4T file names only &lt;|end_of_text|&gt;, and its turns end with &lt;|eot_id|&gt;.
    /// </summary>
    private static readonly string[] s_stopSpellings =
        ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>", "<|eom_id|>", "<｜end▁of▁sentence｜>"];

    /// <summary>Reads and checks the ids.</summary>
    /// <param name="metadata">A model's keys.</param>
    /// <param name="vocabulary">Its tokens.</param>
    /// <param name="defaults">What holds where the file says nothing, as far as the vocabulary has such ids.</param>
    public static SpecialIds Read(Metadata metadata, Vocabulary vocabulary, SpecialDefaults defaults)
    {
        foreach (string key in s_idKeys)
            Id(metadata, vocabulary, key, -1);

        int Default(int id) => id < vocabulary.Count ? id : -1;
        int bos = Id(metadata, vocabulary, "bos_token_id", Default(defaults.Bos));
        int eos = Id(metadata, vocabulary, "eos_token_id", Default(defaults.Eos));
        int unknown = Id(metadata, vocabulary, "unknown_token_id", Default(defaults.Unknown));
        bool addEos = Flag(metadata, "add_eos_token", eos, "eos_token_id") ?? (defaults.AddEos && eos >= 0);
        bool addBos = Flag(metadata, "add_bos_token", bos, "bos_token_id") ?? (defaults.AddBos && bos >= 0);
        return new SpecialIds(bos, eos, unknown, addBos, addEos, Stop(metadata, vocabulary, eos));
    }

    private static HashSet<int> Stop(Metadata metadata, Vocabulary vocabulary, int eos)
    {
        var stops = new HashSet<int>(s_stopKeys.Select(key => Id(metadata, vocabulary, key, -1)).Append(eos));
        stops.Remove(-1);
        foreach (long id in StopList(metadata))
        {
            if (id < 0 || id >= vocabulary.Count)
                throw metadata.Semantic(metadata.Find(Prefix + StopsKey)!, string.Create(CultureInfo.InvariantCulture, $"names the id {id}, outside [0, {vocabulary.Count - 1}]"));
            stops.Add((int)id);
        }

        var spellings = new HashSet<string>(s_stopSpellings, StringComparer.Ordinal);
        for (int id = 0; id < vocabulary.Count; id++)
        {
            if (vocabulary.Kinds[id] is TokenKind.Control or TokenKind.UserDefined && spellings.Contains(vocabulary.Spellings.Text(id)))
                stops.Add(id);
        }

        return stops;
    }

    private static IEnumerable<long> StopList(Metadata metadata) => metadata.Find(Prefix + StopsKey)?.Value is uint[] unsigned
        ? unsigned.Select(id => (long)id)
        : (metadata.Array<int>(Prefix + StopsKey) ?? []).Select(id => (long)id);

    private static int Id(Metadata metadata, Vocabulary vocabulary, string key, int otherwise) =>
        (int)(metadata.Integer(Prefix + key, 0, vocabulary.Count - 1) ?? otherwise);

    private static bool? Flag(Metadata metadata, string key, int id, string idKey)
    {
        bool? flag = metadata.Boolean(Prefix + key);
        if (flag == true && id < 0)
            throw metadata.Semantic(metadata.Find(Prefix + key)!, $"is true, but '{Prefix}{idKey}' is missing");
        return flag;
    }
}
