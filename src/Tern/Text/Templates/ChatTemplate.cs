using System.Text;
using System.Text.Json;
using Tern.Files;

namespace Tern.Text.Templates;

/// <summary>
/// Turns a conversation into the text that a model was trained to continue, by the Jinja template in the model's metadata.
/// The template writes the beginning-of-sequence token itself: encode its text with special tokens parsed and none added.
/// </summary>
internal sealed class ChatTemplate
{
    private const string Key = "tokenizer.chat_template";

    /// <summary>
    /// The template of bitnet-b1.58-2B-4T as its authors' own code and model card define it. Their GGUF file holds another one,
    /// which ends every question with "BITNETAssistant: " and to which the model answers badly.
    /// </summary>
    public const string BitNet2B4T =
        "{{ bos_token }}{% for message in messages %}{{ message['role'] | capitalize }}: {{ message['content'] | trim }}<|eot_id|>{% endfor %}"
        + "{% if add_generation_prompt %}Assistant: {% endif %}";

    private readonly Template? _template;
    private readonly TernException? _failure;
    private readonly string _bos;
    private readonly string _eos;

    private ChatTemplate(string source, Template? template, TernException? failure, string bos, string eos)
    {
        Source = source;
        _template = template;
        _failure = failure;
        _bos = bos;
        _eos = eos;
    }

    /// <summary>Variables that requests have fields of their own for; further variables may not replace them.</summary>
    public static IReadOnlySet<string> Reserved { get; } =
        new HashSet<string>(StringComparer.Ordinal) { "messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token" };

    /// <summary>The text of the template in use.</summary>
    public string Source { get; }

    /// <summary>The template of a model, or null when it has none: a base model, which continues text and does not chat. One that does not parse gives a warning here and an error at every render, so that the model still loads.</summary>
    /// <param name="metadata">A model's keys: <c>tokenizer.chat_template</c>, or variants of it with names, of which <c>default</c> is taken.</param>
    /// <param name="tokenizer">Spells the tokens that templates print as <c>bos_token</c> and <c>eos_token</c>.</param>
    /// <param name="warn">Receives one line for everything that had to be assumed.</param>
    public static ChatTemplate? From(Metadata metadata, Tokenizer tokenizer, Action<string> warn)
    {
        string? source = Find(metadata, warn);
        if (source is null)
            return null;

        string bos = TokenText(tokenizer, tokenizer.Bos), eos = TokenText(tokenizer, tokenizer.Eos);

        bool is2B4T = metadata.String("general.architecture") is "bitnet-b1.58" or "bitnet-25";
        if (is2B4T && IsWrong2B4T(source))
        {
            warn($"{metadata.Path}: the chat template in '{Key}' is known to be wrong for bitnet-b1.58-2B-4T; using 'System: |User: |Assistant: ' with '<|eot_id|>' instead");
            source = BitNet2B4T;
        }

        try
        {
            return new ChatTemplate(source, Template.Parse(source), null, bos, eos);
        }
        catch (TernException e)
        {
            warn($"{metadata.Path}: key '{Key}': {e.Message}; chat requests will fail with this error");
            return new ChatTemplate(source, null, e, bos, eos);
        }
    }

    /// <summary>Whether the metadata hold the wrong template of the first 2B-4T files.</summary>
    public static bool IsWrong2B4T(Metadata metadata) => metadata.Find(Key)?.Value is string source && IsWrong2B4T(source);

    private static bool IsWrong2B4T(string source) => source.Contains("BITNETAssistant: ", StringComparison.Ordinal);

    /// <summary>A template without a model; <c>bos_token</c> and <c>eos_token</c> are empty unless a render gives them.</summary>
    /// <exception cref="TernException">The template does not parse.</exception>
    public static ChatTemplate Parse(string source, TemplateBudget? budget = null) => new(source, Template.Parse(source, budget), null, "", "");

    /// <summary>The text of a chat, with the beginning of the answer.</summary>
    /// <exception cref="TernException">As for <see cref="Render(TemplateInput)"/>.</exception>
    public string Render(IReadOnlyList<Message> messages) =>
        Render(new TemplateInput { Messages = [.. messages.Select(static m => new TemplateMessage(RoleName(m.Role), m.Content))] });

    /// <summary>The text of a chat, with all that a request may say about it.</summary>
    /// <exception cref="TernException">A variable is reserved, or the template fails; the message has the template's line.</exception>
    public string Render(TemplateInput input)
    {
        var variables = new Dictionary<string, TemplateValue>(StringComparer.Ordinal);
        foreach ((string name, JsonElement value) in input.Variables)
        {
            if (Reserved.Contains(name) || TemplateGlobals.All.ContainsKey(name))
                throw new TernException(ErrorKind.Request, $"the template variable '{name}' is reserved; the request has a field of its own for it");
            variables[name] = TemplateJson.Read(value);
        }

        var messages = new List<TemplateValue>(input.Messages.Count);
        foreach (TemplateMessage message in input.Messages)
            messages.Add(message.Json is { } json ? Message(TemplateJson.Read(json)) : Message(message));

        variables["messages"] = TemplateValue.List(new TemplateList(messages));
        variables["tools"] = input.Tools is { } tools ? TemplateJson.Read(tools) : TemplateValue.None;
        variables["add_generation_prompt"] = input.AddGenerationPrompt;
        return Render(variables, input.Now);
    }

    /// <summary>
    /// Renders <c>{"messages": […], "tools": […], "add_generation_prompt": true, …}</c>; every other member is a variable of its name,
    /// <c>bos_token</c> and <c>eos_token</c> included. What is absent is as in Hugging Face: no tools, no generation prompt.
    /// </summary>
    /// <exception cref="TernException">As for <see cref="Render(TemplateInput)"/>; or the JSON is not an object.</exception>
    public string RenderJson(JsonElement request)
    {
        if (request.ValueKind != JsonValueKind.Object)
            throw new TernException(ErrorKind.Request, $"the input of a chat template must be a JSON object with the member 'messages', not {request.ValueKind}");

        var variables = new Dictionary<string, TemplateValue>(StringComparer.Ordinal) { ["tools"] = TemplateValue.None, ["add_generation_prompt"] = false };
        TemplateDictionary members = TemplateJson.Read(request).AsDictionary;
        for (int i = 0; i < members.Count; i++)
            variables[members[i].Key.Value.AsString] = members[i].Value;

        if (variables.TryGetValue("messages", out TemplateValue messages) && messages.IsSequence)
            foreach (TemplateValue message in messages.AsList.Items)
                Message(message);
        return Render(variables, now: null);
    }

    private string Render(Dictionary<string, TemplateValue> variables, DateTimeOffset? now)
    {
        if (_template is null)
            throw new TernException(_failure!.Kind, _failure.Message, _failure);

        variables.TryAdd("documents", TemplateValue.None);
        variables.TryAdd("bos_token", _bos);
        variables.TryAdd("eos_token", _eos);
        return _template.Render(variables, now ?? DateTimeOffset.Now);
    }

    private static string RoleName(Role role) => role switch
    {
        Role.System => "system",
        Role.Assistant => "assistant",
        Role.Tool => "tool",
        _ => "user",
    };

    private static TemplateValue Message(TemplateMessage message)
    {
        var dictionary = new TemplateDictionary(2);
        dictionary.Set("role", message.Role);
        dictionary.Set("content", message.Content);
        return dictionary;
    }

    /// <summary>
    /// Brings a message to the form that templates are written for: the arguments of tool calls as an object (requests carry them as JSON in a string),
    /// and content parts as one text if all are texts and the template does not look into parts.
    /// </summary>
    private TemplateValue Message(TemplateValue message)
    {
        if (message.Kind != TemplateKind.Dictionary)
            return message;

        TemplateDictionary members = message.AsDictionary;
        if (members.TryGet("content", out TemplateValue content) && content.IsSequence && _template?.Attributes.Contains("text") == false)
            members.Set("content", JoinTexts(content));
        if (members.TryGet("tool_calls", out TemplateValue calls) && calls.IsSequence)
            foreach (TemplateValue call in calls.AsList.Items)
                ParseArguments(call);
        return message;
    }

    private static TemplateValue JoinTexts(TemplateValue parts)
    {
        var texts = new List<string>();
        foreach (TemplateValue part in parts.AsList.Items)
        {
            if (part.Kind != TemplateKind.Dictionary || !part.AsDictionary.TryGet("text", out TemplateValue text) || !text.IsString)
                return parts;
            texts.Add(text.AsString);
        }

        return string.Join('\n', texts);
    }

    private static void ParseArguments(TemplateValue call)
    {
        if (call.Kind == TemplateKind.Dictionary && call.AsDictionary.TryGet("function", out TemplateValue function))
            call = function;
        if (call.Kind != TemplateKind.Dictionary || !call.AsDictionary.TryGet("arguments", out TemplateValue arguments) || !arguments.IsString)
            return;

        try
        {
            using JsonDocument document = JsonDocument.Parse(arguments.AsString, new JsonDocumentOptions { MaxDepth = TemplateJson.DepthMax });
            if (document.RootElement.ValueKind == JsonValueKind.Object)
                call.AsDictionary.Set("arguments", TemplateJson.Read(document.RootElement));
        }
        catch (JsonException)
        {
            // A model once wrote this, and may have written it wrongly: the template gets it as it is.
        }
    }

    private static string? Find(Metadata metadata, Action<string> warn)
    {
        if (metadata.Find(Key) is { } entry)
        {
            if (entry.Value is not StringTable { Count: > 0 } table)
                return metadata.String(Key);

            warn($"{metadata.Path}: key '{Key}' holds {table.Count} templates; using the first");
            return table.Text(0);
        }

        if (metadata.String(Key + ".default") is { } named)
            return named;

        MetadataEntry? variant = metadata.Entries.FirstOrDefault(e => e.Key.StartsWith(Key + ".", StringComparison.Ordinal) && e.Value is string);
        if (variant is not null)
            warn($"{metadata.Path}: there is no '{Key}'; using '{variant.Key}'");
        return (string?)variant?.Value;
    }

    private static string TokenText(Tokenizer tokenizer, int id) =>
        id >= 0 && id < tokenizer.Count ? Encoding.UTF8.GetString(tokenizer.Bytes(id, special: true)) : "";
}
