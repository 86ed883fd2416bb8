using System.Text.Json;
using Tern.Text;

namespace Tern.Tests.Text;

/// <summary>The ids that the field's own tokenizers give.</summary>
public sealed class VectorTests
{
    public static TheoryData<string> VectorNames => ["llama-bpe", "qwen2", "llama-spm", "gpt-2"];

    public static TheoryData<string> GoldenModels => SharedData.Root is null
        ? ["none"]
        : [.. Directory.EnumerateFiles(SharedData.File("goldens"), "*.gguf").Order().Select(path => Path.GetFileNameWithoutExtension(path)!)];

    [SharedTheory]
    [MemberData(nameof(VectorNames))]
    public void Published_vectors_match(string name)
    {
        Tokenizer tokenizer = Vocabularies.Vector(name);
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(SharedData.File("vectors", "tokenizer", name + ".json")));
        bool addSpecial = json.RootElement.GetProperty("add_special").GetBoolean();
        bool parseSpecial = json.RootElement.GetProperty("parse_special").GetBoolean();
        int cases = 0;
        foreach (JsonElement item in json.RootElement.GetProperty("cases").EnumerateArray())
        {
            string text = item.GetProperty("text").GetString()!;
            int[] expected = Ints(item.GetProperty("tokens"));
            Assert.Equal(expected, tokenizer.Encode(text, addSpecial, parseSpecial));
            Assert.Equal(text, tokenizer.Decode(expected));
            cases++;
        }

        Assert.True(cases >= 40, $"{cases} cases");
    }

    [SharedTheory]
    [MemberData(nameof(GoldenModels))]
    public void Golden_prompts_match(string name)
    {
        Tokenizer tokenizer = Vocabularies.Shared("goldens", name + ".gguf");
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(SharedData.File("goldens", name + ".expected.json")));
        foreach (JsonElement prompt in json.RootElement.GetProperty("prompts").EnumerateArray())
            Assert.Equal(Ints(prompt.GetProperty("ids")), tokenizer.Encode(prompt.GetProperty("text").GetString()!));

        // The models' vocabularies hold the end tokens of several families, and every one of them ends an answer.
        if (json.RootElement.TryGetProperty("stop_ids", out JsonElement stops))
            Assert.Empty(Ints(stops).Except(tokenizer.StopIds));
    }

    [SharedFact]
    public void Storyteller_prompts_match()
    {
        Tokenizer tokenizer = Vocabularies.Shared("models", "storyteller.gguf");
        using JsonDocument json = JsonDocument.Parse(File.ReadAllText(SharedData.File("models", "storyteller.json")));
        foreach (JsonElement prompt in json.RootElement.GetProperty("prompts").EnumerateArray())
            Assert.Equal(Ints(prompt.GetProperty("ids")), tokenizer.Encode(prompt.GetProperty("text").GetString()!));
        Assert.Equal([256], tokenizer.StopIds);
    }

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(item => item.GetInt32())];
}
