using Tern.Files;

namespace Tern.Text.HuggingFace;

/// <summary>The tokens that a tokenizer.json puts around a text, by its post-processor.</summary>
/// <param name="First">Id of the token in front, or -1.</param>
/// <param name="Last">Id of the token behind, or -1.</param>
internal readonly record struct AddedEnds(int First, int Last)
{
    /// <summary>Reads <c>post_processor</c>: a template, the pair of cls and sep of BERT and RoBERTa, or a list with one of them.</summary>
    public static AddedEnds Read(JsonField postProcessor, TokenList tokens, Action<string> warn)
    {
        var ends = new AddedEnds(-1, -1);
        if (!postProcessor.Exists)
            return ends;
        foreach (JsonField step in postProcessor["type"].Text == "Sequence" ? postProcessor["processors"].Items : [postProcessor])
        {
            switch (step["type"].Text)
            {
                case "TemplateProcessing":
                    ends = ReadTemplate(step, tokens, warn);
                    break;
                case "RobertaProcessing" or "BertProcessing":
                    ends = new AddedEnds(ReadPair(step["cls"], tokens), ReadPair(step["sep"], tokens));
                    break;
                case "ByteLevel":
                    break;
                default:
                    warn($"{step.File.Path}: field '{step.Name}': the post-processor {FileError.Quote(step["type"].Text ?? "")} is not known; nothing is added around a text for it");
                    break;
            }
        }

        return ends;
    }

    /// <summary>A template for one text: a list of special tokens with the text, "A", among them. GGUF has room for one on each side.</summary>
    private static AddedEnds ReadTemplate(JsonField step, TokenList tokens, Action<string> warn)
    {
        int first = -1, last = -1, before = 0, behind = 0;
        bool seenText = false;
        foreach (JsonField item in step["single"].Items)
        {
            if (item["Sequence"].Exists)
            {
                seenText = true;
                continue;
            }

            string name = item["SpecialToken"]["id"].Text ?? throw item.Semantic("is neither a special token nor the text");
            int id = Id(step["special_tokens"], name, tokens, item);
            if (seenText)
                (last, behind) = (id, behind + 1);
            else
                (first, before) = (before == 0 ? id : first, before + 1);
        }

        if (before > 1 || behind > 1)
            warn($"{step.File.Path}: field '{step.Name}.single' adds several tokens on one side of a text; only the outermost is added, because a GGUF file has room for one");
        return new AddedEnds(first, last);
    }

    /// <summary>The id of a name in a template: as its own table says, or as the vocabulary does.</summary>
    private static int Id(JsonField table, string name, TokenList tokens, JsonField place)
    {
        JsonField entry = table[name];
        long id = entry["ids"].Items.FirstOrDefault() is { Exists: true } listed ? listed.Integer!.Value : tokens.Find(name);
        return id >= 0 && id < tokens.Count ? (int)id : throw place.Semantic($"adds {FileError.Quote(name)}, which is no token");
    }

    /// <summary>A pair ["token", id].</summary>
    private static int ReadPair(JsonField pair, TokenList tokens)
    {
        JsonField[] parts = [.. pair.Items];
        return parts.Length == 2 && parts[1].Integer is { } id && id >= 0 && id < tokens.Count ? (int)id : throw pair.Semantic("is not a token with its id");
    }
}
