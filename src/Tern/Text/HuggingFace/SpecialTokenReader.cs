using System.Globalization;
using Tern.Files;

namespace Tern.Text.HuggingFace;

/// <summary>
/// Which tokens begin and end a text, and which end an answer. Four files say so, and they need not agree: names in tokenizer_config.json count before
/// those in special_tokens_map.json, and names before the ids in generation_config.json and config.json. All that any of them says ends an answer.
/// </summary>
/// <param name="tokens">The vocabulary.</param>
/// <param name="configuration">The root of tokenizer_config.json, or a field without a value.</param>
/// <param name="map">The root of special_tokens_map.json, likewise.</param>
/// <param name="generation">The root of generation_config.json, likewise.</param>
/// <param name="model">The root of config.json, likewise.</param>
/// <param name="warn">Receives one line for everything unusual.</param>
internal sealed class SpecialTokenReader(TokenList tokens, JsonField configuration, JsonField map, JsonField generation, JsonField model, Action<string> warn)
{
    private const string Prefix = "tokenizer.ggml.";

    /// <summary>Roles without a rule of their own, with the key that GGUF has for them.</summary>
    private static readonly (string Role, string Key)[] s_plainRoles =
        [("unk", "unknown_token_id"), ("sep", "seperator_token_id"), ("pad", "padding_token_id"), ("cls", "cls_token_id"), ("mask", "mask_token_id")];

    /// <summary>Whether a file names this token for some role, as those who wrote added_tokens.json did for structure.</summary>
    public bool IsNamed(string token) =>
        s_plainRoles.Select(row => row.Role).Concat(["bos", "eos"]).Any(role => Spelling(configuration, role) == token || Spelling(map, role) == token);

    /// <summary>Writes the keys.</summary>
    /// <param name="ends">What the post-processor adds around a text.</param>
    /// <param name="into">Receives them.</param>
    public void Write(AddedEnds ends, Metadata into)
    {
        int bos = Named("bos");
        if (bos < 0)
            bos = Ids(generation, "bos").Concat(Ids(model, "bos")).FirstOrDefault(-1);
        bool addBos = configuration["add_bos_token"].Flag ?? ends.First >= 0;
        if (addBos && ends.First >= 0)
            bos = ends.First;

        // The end token proper, then all others that end an answer, in the order of the files.
        List<int> stops = [Named("eos"), .. Ids(generation, "eos"), .. Ids(model, "eos"), Named("eot"), Named("eom")];
        bool? addEos = configuration["add_eos_token"].Flag ?? (ends.Last >= 0 ? true : null);
        if (addEos == true)
            stops.Insert(0, ends.Last);
        stops = [.. stops.Where(id => id >= 0).Distinct()];

        WriteId(into, "bos_token_id", bos);
        WriteStops(into, stops);
        foreach ((string role, string key) in s_plainRoles)
            WriteId(into, key, Named(role) is var id and >= 0 ? id : role == "pad" ? Padding() : -1);

        into.Set(Prefix + "add_bos_token", Possible(addBos, bos, "add_bos_token"));
        if (addEos is { } add)
            into.Set(Prefix + "add_eos_token", Possible(add, stops.Count > 0 ? stops[0] : -1, "add_eos_token"));
    }

    /// <summary>
    /// GGUF has one key for the end token and two for others, which all readers stop at; the list of all is a key that Ollama's files have and Tern reads.
    /// </summary>
    private void WriteStops(Metadata into, List<int> stops)
    {
        if (stops.Count == 0)
        {
            warn($"{configuration.File.Path}: no file names a token that ends a text; answers end only at known end tokens and at the length limit");
            return;
        }

        int[] others = [.. stops.Skip(1)];
        int eot = Named("eot") is var named and >= 0 ? named : others.FirstOrDefault(-1);
        int eom = Named("eom") is var second and >= 0 ? second : others.FirstOrDefault(id => id != eot, -1);
        WriteId(into, "eos_token_id", stops[0]);
        WriteId(into, "eot_token_id", eot);
        WriteId(into, "eom_token_id", eom);
        if (others.Length > 0)
            into.Set(Prefix + "eos_token_ids", stops.ToArray());
    }

    private static void WriteId(Metadata into, string key, int id)
    {
        if (id >= 0)
            into.Set(Prefix + key, (uint)id);
    }

    private bool Possible(bool add, int id, string key)
    {
        if (add && id < 0)
            warn($"{configuration.File.Path}: field '{key}' is true, but no file names that token; nothing is added");
        return add && id >= 0;
    }

    /// <summary>The token that has a role by name, or -1.</summary>
    private int Named(string role)
    {
        foreach (JsonField file in new[] { configuration, map })
        {
            if (Spelling(file, role) is not { } spelling)
                continue;
            int id = tokens.Find(spelling);
            if (id >= 0)
                return id;
        }

        return -1;
    }

    /// <summary>A role's token as a file spells it: a string, or an object with its content.</summary>
    private static string? Spelling(JsonField file, string role)
    {
        JsonField token = file[role + "_token"];
        return token.IsObject ? token["content"].Text : token.IsText ? token.Text : null;
    }

    /// <summary>The ids that a file gives a role: one, several or none. Negative ones mean that there is none.</summary>
    private IEnumerable<int> Ids(JsonField file, string role)
    {
        JsonField field = file[role + "_token_id"];
        foreach (JsonField item in field.IsArray ? field.Items : field.Exists ? [field] : [])
        {
            if (item.Integer is not { } id || id < 0)
                continue;
            if (id >= tokens.Count)
                throw item.Semantic(string.Create(CultureInfo.InvariantCulture, $"the id {id} is outside the embedding of {tokens.Count} rows"));
            yield return (int)id;
        }
    }

    /// <summary>The padding token by id, or -1. Configurations often name one behind the last row; nothing ever uses it.</summary>
    private int Padding()
    {
        foreach (JsonField file in new[] { generation, model })
        {
            JsonField field = file["pad_token_id"];
            if (field.Exists && field.Integer is { } id and >= 0)
            {
                if (id < tokens.Count)
                    return (int)id;
                warn(string.Create(CultureInfo.InvariantCulture, $"{field.File.Path}: field '{field.Name}': the id {id} is outside the embedding of {tokens.Count} rows; there is no padding token"));
            }
        }

        return -1;
    }
}
