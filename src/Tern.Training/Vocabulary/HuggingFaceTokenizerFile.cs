using System.Text.Encodings.Web;
using System.Text.Json;
using Tern.Files;

namespace Tern.Training.Vocabulary;

/// <summary>
/// Writes a vocabulary as the <c>tokenizer.json</c> of Hugging Face's tokenizers library.
/// <code>
/// { "version", "added_tokens": [ { "id", "content", "special": true, … } ],
///   "pre_tokenizer": { "type": "ByteLevel", … },      GPT-2's words
///   "post_processor": { "type": "TemplateProcessing", … },   the begin token in front
///   "decoder": { "type": "ByteLevel", … },
///   "model": { "type": "BPE", "vocab": { token: id }, "merges": [ [left, right] ] } }
/// </code>
/// </summary>
internal static class HuggingFaceTokenizerFile
{
    private static readonly JsonWriterOptions s_options = new() { Indented = true, Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Writes the file.</summary>
    /// <exception cref="TernException">It cannot be written.</exception>
    public static void Write(string path, TrainedVocabulary vocabulary) => AtomicFile.Write(path, stream =>
    {
        using var writer = new Utf8JsonWriter(stream, s_options);
        writer.WriteStartObject();
        writer.WriteString("version", "1.0");
        writer.WriteNull("truncation");
        writer.WriteNull("padding");
        WriteAddedTokens(writer, vocabulary);
        writer.WriteNull("normalizer");
        WriteByteLevel(writer, "pre_tokenizer");
        WritePostProcessor(writer, vocabulary);
        WriteByteLevel(writer, "decoder");
        WriteModel(writer, vocabulary);
        writer.WriteEndObject();
    });

    private static void WriteAddedTokens(Utf8JsonWriter writer, TrainedVocabulary vocabulary)
    {
        writer.WriteStartArray("added_tokens");
        for (int id = vocabulary.FirstSpecial; id < vocabulary.Count; id++)
        {
            writer.WriteStartObject();
            writer.WriteNumber("id", id);
            writer.WriteString("content", vocabulary.Spelling(id));
            writer.WriteBoolean("single_word", false);
            writer.WriteBoolean("lstrip", false);
            writer.WriteBoolean("rstrip", false);
            writer.WriteBoolean("normalized", false);
            writer.WriteBoolean("special", true);
            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static void WriteByteLevel(Utf8JsonWriter writer, string name)
    {
        writer.WriteStartObject(name);
        writer.WriteString("type", "ByteLevel");
        writer.WriteBoolean("add_prefix_space", false);
        writer.WriteBoolean("trim_offsets", true);
        writer.WriteBoolean("use_regex", true);
        writer.WriteEndObject();
    }

    private static void WritePostProcessor(Utf8JsonWriter writer, TrainedVocabulary vocabulary)
    {
        writer.WriteStartObject("post_processor");
        writer.WriteString("type", "TemplateProcessing");
        WriteTemplate(writer, "single", ["A"]);
        WriteTemplate(writer, "pair", ["A", "B"]);
        writer.WriteStartObject("special_tokens");
        writer.WriteStartObject(TrainedVocabulary.Begin);
        writer.WriteString("id", TrainedVocabulary.Begin);
        writer.WriteStartArray("ids");
        writer.WriteNumberValue(vocabulary.FirstSpecial);
        writer.WriteEndArray();
        writer.WriteStartArray("tokens");
        writer.WriteStringValue(TrainedVocabulary.Begin);
        writer.WriteEndArray();
        writer.WriteEndObject();
        writer.WriteEndObject();
        writer.WriteEndObject();
    }

    private static void WriteTemplate(Utf8JsonWriter writer, string name, string[] sequences)
    {
        writer.WriteStartArray(name);
        WritePart("SpecialToken", TrainedVocabulary.Begin, 0);
        for (int i = 0; i < sequences.Length; i++)
            WritePart("Sequence", sequences[i], i);
        writer.WriteEndArray();

        void WritePart(string kind, string id, int type)
        {
            writer.WriteStartObject();
            writer.WriteStartObject(kind);
            writer.WriteString("id", id);
            writer.WriteNumber("type_id", type);
            writer.WriteEndObject();
            writer.WriteEndObject();
        }
    }

    private static void WriteModel(Utf8JsonWriter writer, TrainedVocabulary vocabulary)
    {
        writer.WriteStartObject("model");
        writer.WriteString("type", "BPE");
        writer.WriteNull("dropout");
        writer.WriteNull("unk_token");
        writer.WriteNull("continuing_subword_prefix");
        writer.WriteNull("end_of_word_suffix");
        writer.WriteBoolean("fuse_unk", false);
        writer.WriteBoolean("byte_fallback", false);
        writer.WriteBoolean("ignore_merges", false);
        writer.WriteStartObject("vocab");
        for (int id = 0; id < vocabulary.Count; id++)
            writer.WriteNumber(vocabulary.Spelling(id), id);
        writer.WriteEndObject();
        writer.WriteStartArray("merges");
        foreach ((int left, int right) in vocabulary.Merges)
        {
            writer.WriteStartArray();
            writer.WriteStringValue(vocabulary.Spelling(left));
            writer.WriteStringValue(vocabulary.Spelling(right));
            writer.WriteEndArray();
        }

        writer.WriteEndArray();
        writer.WriteEndObject();
    }
}
