using System.Text.Json;
using Tern.Files;

namespace Tern.Text.HuggingFace;

/// <summary>
/// What a tokenizer.json does to text before it merges, apart from cutting it into words: which alphabet it spells text in, whether a space goes in
/// front, and which normalizers it has.
/// </summary>
internal static class SpaceRules
{
    private const string Mark = "▁";

    private const string Remedy = "only byte-level byte-pair encoding, and byte-pair encoding with U+2581 for a space, can be converted";

    /// <summary>Whether text is spelled in <see cref="ByteAlphabet"/>, which the pre-tokenizer or the decoder says.</summary>
    public static bool IsByteLevel(JsonField root) =>
        Steps(root["pre_tokenizer"], "pretokenizers").Concat(Steps(root["decoder"], "decoders")).Any(step => step["type"].Text == "ByteLevel");

    /// <summary>
    /// Checks the normalizers of a byte-level tokenizer. NFC is left out with a warning, because a GGUF file cannot name it and no reader of one does
    /// it: almost all text is composed already, and text that is not would give other tokens. Others change ordinary text and are refused.
    /// </summary>
    public static void CheckByteLevel(JsonField root, Action<string> warn)
    {
        foreach (JsonField step in Steps(root["normalizer"], "normalizers"))
            CheckComposing(step, warn);
    }

    /// <summary>Whether a space goes in front of a text of a tokenizer that spells spaces U+2581.</summary>
    /// <param name="root">The file.</param>
    /// <param name="warn">Receives one line for everything that a GGUF file cannot say.</param>
    /// <param name="mayCut">Whether words may be cut at every U+2581: false when a token has one behind its first character.</param>
    /// <exception cref="TernException">Unsupported: there is a step that this kind of tokenizer has not.</exception>
    public static bool AddSpacePrefix(JsonField root, Action<string> warn, Func<bool> mayCut)
    {
        bool prefix = false;
        bool escapes = false;
        foreach (JsonField step in Steps(root["normalizer"], "normalizers"))
        {
            if (step["type"].Text == "Prepend" && step["prepend"].Text == Mark)
                prefix = true;
            else if (step["type"].Text == "Replace" && Literal(step["pattern"]) == " " && step["content"].Text == Mark)
                escapes = true;
            else
                CheckComposing(step, warn);
        }

        foreach (JsonField step in Steps(root["pre_tokenizer"], "pretokenizers"))
        {
            if (step["type"].Text == "Metaspace" && (step["replacement"].Text ?? Mark) == Mark)
            {
                prefix = AddsPrefix(step, warn);
                escapes = true;
                if ((step["split"].Flag ?? true) && !mayCut())
                    throw step["split"].Error(ErrorKind.Unsupported, "cuts text at spaces, but the vocabulary has tokens that go on after one", Remedy);
            }
            else if (!(escapes && step["type"].Text == "Split" && Literal(step["pattern"]) == " "))
            {
                // A split at spaces that are all replaced by then, as Gemma has it, splits nothing.
                throw step["type"].Error(ErrorKind.Unsupported, $"{FileError.Quote(step["type"].Text ?? "")} is no known step in front of merging with U+2581", Remedy);
            }
        }

        return escapes ? prefix : throw root["pre_tokenizer"].Error(ErrorKind.Unsupported, "spells text neither in bytes ('ByteLevel') nor with U+2581 for a space ('Metaspace')", Remedy);
    }

    private static bool AddsPrefix(JsonField metaspace, Action<string> warn)
    {
        string scheme = metaspace["prepend_scheme"].Text ?? (metaspace["add_prefix_space"].Flag ?? true ? "always" : "never");
        if (scheme == "never")
            return false;
        if (scheme is not ("always" or "first"))
            throw metaspace["prepend_scheme"].Semantic($"is {FileError.Quote(scheme)}, must be 'always', 'first' or 'never'");
        string which = scheme == "first" ? "text that begins with one, or that follows a special token," : "text that begins with one";
        warn($"{metaspace.File.Path}: field '{metaspace.Name}' puts a space in front of a text; {which} gets it here too, because a GGUF file can only say always or never");
        return true;
    }

    private static void CheckComposing(JsonField step, Action<string> warn)
    {
        if (step["type"].Text != "NFC")
            throw step["type"].Error(ErrorKind.Unsupported, $"the normalizer {FileError.Quote(step["type"].Text ?? "")} changes text in a way that a GGUF file cannot say", Remedy);
        warn($"{step.File.Path}: field '{step.Name}': the normalizer NFC is not applied, as with every GGUF file; only text with decomposed characters gives other tokens");
    }

    private static string? Literal(JsonField pattern) =>
        pattern.IsObject ? pattern["String"].Exists ? pattern["String"].Text : pattern["Regex"].Text : pattern.Element.ValueKind == JsonValueKind.String ? pattern.Text : null;

    private static IEnumerable<JsonField> Steps(JsonField field, string list) =>
        !field.Exists ? [] : field["type"].Text == "Sequence" ? field[list].Items : [field];
}
