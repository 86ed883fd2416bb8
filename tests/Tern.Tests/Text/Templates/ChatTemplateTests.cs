using System.Text.Json;
using Tern.Files;
using Tern.Text;
using Tern.Text.Templates;

namespace Tern.Tests.Text.Templates;

/// <summary>Templates of models: where they come from, what they are given, and the one that is known to be wrong.</summary>
public sealed class ChatTemplateTests
{
    private const string Wrong =
        "{% for m in messages %}{% if m['role'] == 'user' %}{{ 'Human: ' + m['content'] + '\\n\\nBITNETAssistant: ' + eos_token }}{% endif %}{% endfor %}";

    private const string Probe = "{{ bos_token }}{% for m in messages %}{{ m.role }}={{ m.content }};{% endfor %}{{ eos_token }}{% if add_generation_prompt %}>{% endif %}";

    private static readonly Message[] s_chat =
        [new(Role.System, " Be brief.\n"), new(Role.User, "Hi"), new(Role.Assistant, "Hello."), new(Role.Tool, "1")];

    [Theory]
    [MemberData(nameof(ChatTemplateSamples.Cases), MemberType = typeof(ChatTemplateSamples))]
    public void A_conversation_becomes_the_text_that_Hugging_Face_makes(string template, string request, string expected)
    {
        using JsonDocument document = JsonDocument.Parse(request);
        Assert.Equal(expected, ChatTemplate.Parse(ChatTemplateSamples.Templates[template]).RenderJson(document.RootElement));
    }

    [Theory]
    [InlineData("bitnet-b1.58")]
    [InlineData("bitnet-25")]
    public void The_template_of_the_official_2B_4T_file_is_replaced_with_one_warning(string architecture)
    {
        (ChatTemplate? template, List<string> warnings) = From(architecture, ("tokenizer.chat_template", Wrong));
        Assert.Equal("<s>System: Be brief.<|eot_id|>User: Hi<|eot_id|>Assistant: Hello.<|eot_id|>Tool: 1<|eot_id|>Assistant: ", template!.Render(s_chat));
        Assert.Contains("known to be wrong", Assert.Single(warnings), StringComparison.Ordinal);
        Assert.StartsWith("made.gguf: ", warnings[0], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("llama", Wrong)]
    [InlineData("bitnet-b1.58", Probe)]
    public void No_other_template_is_replaced(string architecture, string source)
    {
        (ChatTemplate? template, List<string> warnings) = From(architecture, ("tokenizer.chat_template", source));
        Assert.Equal(source, template!.Source);
        Assert.Empty(warnings);
    }

    [Fact]
    public void A_model_without_a_template_has_none() =>
        Assert.Null(From("llama").Template);

    [Fact]
    public void Variants_by_name_are_read_and_the_default_one_is_taken()
    {
        (ChatTemplate? template, List<string> warnings) = From("llama", ("tokenizer.chat_template.tool_use", "tools"), ("tokenizer.chat_template.default", "plain"));
        Assert.Equal("plain", template!.Render(s_chat));
        Assert.Empty(warnings);

        (template, warnings) = From("llama", ("tokenizer.chat_template.tool_use", "tools"));
        Assert.Equal("tools", template!.Render(s_chat));
        Assert.Contains("'tokenizer.chat_template.tool_use'", Assert.Single(warnings), StringComparison.Ordinal);

        (template, warnings) = From("llama", ("tokenizer.chat_template", StringTable.From(["first", "second"])));
        Assert.Equal("first", template!.Render(s_chat));
        Assert.Single(warnings);
    }

    [Fact]
    public void A_template_that_does_not_parse_warns_at_load_and_fails_at_every_render()
    {
        (ChatTemplate? template, List<string> warnings) = From("llama", ("tokenizer.chat_template", "a\n{% if x %}"));
        Assert.Contains("made.gguf: key 'tokenizer.chat_template': template line 2: ", Assert.Single(warnings), StringComparison.Ordinal);
        for (int i = 0; i < 2; i++)
        {
            var e = Assert.Throws<TernException>(() => template!.Render(s_chat));
            Assert.Equal(ErrorKind.Template, e.Kind);
            Assert.StartsWith("template line 2: ", e.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Tokens_roles_and_variables_reach_the_template()
    {
        ChatTemplate template = From("llama", ("tokenizer.chat_template", Probe + "{{ mode }}{{ tools }}{{ strftime_now('%Y') }}")).Template!;
        var input = new TemplateInput
        {
            Messages = [new TemplateMessage("user", "x"), new TemplateMessage(Json("""{"role": "assistant", "content": null}"""))],
            AddGenerationPrompt = false,
            Variables = new Dictionary<string, JsonElement> { ["mode"] = Json("\"fast\"") },
            Now = new DateTimeOffset(2031, 1, 1, 0, 0, 0, TimeSpan.Zero),
        };
        Assert.Equal("<s>user=x;assistant=None;</s>fastNone2031", template.Render(input));
        Assert.Equal("<s>system= Be brief.\n;user=Hi;assistant=Hello.;tool=1;</s>>", template.Render(s_chat)[..^8]);
    }

    [Theory]
    [InlineData("messages")]
    [InlineData("tools")]
    [InlineData("documents")]
    [InlineData("add_generation_prompt")]
    [InlineData("bos_token")]
    [InlineData("eos_token")]
    [InlineData("range")]
    [InlineData("raise_exception")]
    public void Reserved_variables_cannot_be_replaced(string name)
    {
        var input = new TemplateInput { Messages = [], Variables = new Dictionary<string, JsonElement> { [name] = Json("[]") } };
        var e = Assert.Throws<TernException>(() => ChatTemplate.Parse(Probe).Render(input));
        Assert.Equal(ErrorKind.Request, e.Kind);
        Assert.Contains($"'{name}'", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("[1]", "JSON object")]
    [InlineData("\"x\"", "JSON object")]
    [InlineData("""{"messages": [{"role": "user", "content": "\ud800"}]}""", "surrogate")]
    public void A_request_that_is_no_chat_is_refused(string request, string cause)
    {
        var e = Assert.Throws<TernException>(() => ChatTemplate.Parse(Probe).RenderJson(Json(request)));
        Assert.Equal(ErrorKind.Request, e.Kind);
        Assert.Contains(cause, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void JSON_that_nests_too_deeply_is_refused()
    {
        string deep = string.Concat(Enumerable.Repeat("[", 70)) + string.Concat(Enumerable.Repeat("]", 70));
        using JsonDocument document = JsonDocument.Parse($"{{\"messages\": {deep}}}", new JsonDocumentOptions { MaxDepth = 200 });
        var e = Assert.Throws<TernException>(() => ChatTemplate.Parse(Probe).RenderJson(document.RootElement));
        Assert.Equal(ErrorKind.Request, e.Kind);
        Assert.Contains("deeper than 64", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Content_parts_are_joined_only_for_a_template_that_does_not_look_into_them()
    {
        const string Request = """{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]}""";
        Assert.Equal("a\nb", ChatTemplate.Parse("{{ messages[0].content }}").RenderJson(Json(Request)));
        Assert.Equal("a", ChatTemplate.Parse("{{ messages[0].content[0].text }}").RenderJson(Json(Request)));
        Assert.Equal("b", ChatTemplate.Parse("{{ messages[0].content[1]['text'] }}").RenderJson(Json(Request)));
    }

    [Fact]
    public void Arguments_of_tool_calls_become_objects_unless_they_are_not()
    {
        ChatTemplate template = ChatTemplate.Parse("{{ messages[0].tool_calls[0].function.arguments | tojson }}");
        string Render(string arguments) =>
            template.RenderJson(Json("""{"messages": [{"tool_calls": [{"function": {"arguments": """ + arguments + "}}]}]}"));
        Assert.Equal("{\"a\": 1.0}", Render("\"{\\\"a\\\": 1.0}\""));
        Assert.Equal("{\"a\": 1}", Render("{\"a\": 1}"));
        Assert.Equal("\"{broken\"", Render("\"{broken\""));
        Assert.Equal("\"7\"", Render("\"7\""));
    }

    [Fact]
    public void A_chat_of_a_thousand_messages_fits_the_budgets()
    {
        Message[] chat = [.. Enumerable.Range(0, 1000).Select(i => new Message(i % 2 == 0 ? Role.User : Role.Assistant, new string('x', 500)))];
        foreach (string source in ChatTemplateSamples.Templates.Values)
            Assert.InRange(ChatTemplate.Parse(source).Render(chat).Length, 500_000, 600_000);
    }

    [Fact]
    public void A_hundred_thousand_messages_do_not()
    {
        Message[] chat = [.. Enumerable.Range(0, 100_000).Select(_ => new Message(Role.User, "x"))];
        var e = Assert.Throws<TernException>(() => ChatTemplate.Parse(ChatTemplateSamples.Templates["ChatMl"]).Render(chat));
        Assert.Contains(" budget of ", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Threads_share_a_template()
    {
        ChatTemplate template = ChatTemplate.Parse(ChatTemplateSamples.Templates["Qwen3"]);
        string expected = template.Render(s_chat);
        Parallel.For(0, 50, _ => Assert.Equal(expected, template.Render(s_chat)));
    }

    [SharedTheory]
    [InlineData("m01-bitnet-b158-i2s", 1)]
    [InlineData("m02-bitnet-25-i2s", 0)]
    [InlineData("m04-llama-i2s-untied", 0)]
    [InlineData("m09a-llama-i2s-q6k-embd-q8_0-output", 0)]
    public void The_golden_files_write_chats_as_2B_4T_was_trained(string name, int warningCount)
    {
        using GgufFile file = GgufFile.Open(SharedData.File("goldens", name + ".gguf"));
        Tokenizer tokenizer = Tokenizer.From(file.Metadata, _ => { });
        var warnings = new List<string>();
        string text = ChatTemplate.From(file.Metadata, tokenizer, warnings.Add)!.Render([new(Role.System, "S"), new(Role.User, " Hi ")]);
        string bos = tokenizer.Decode([tokenizer.Bos], special: true);
        Assert.NotEmpty(bos);
        Assert.Equal(bos + "System: S<|eot_id|>User: Hi<|eot_id|>Assistant: ", text);
        Assert.Equal(warningCount, warnings.Count);
    }

    private static JsonElement Json(string text)
    {
        using JsonDocument document = JsonDocument.Parse(text);
        return document.RootElement.Clone();
    }

    private static (ChatTemplate? Template, List<string> Warnings) From(string architecture, params (string Key, object Value)[] keys)
    {
        Metadata metadata = Vocabularies.SentencePiece(["a"]);
        metadata.Set("tokenizer.ggml.bos_token_id", 1u);
        metadata.Set("tokenizer.ggml.eos_token_id", 2u);
        metadata.Set("general.architecture", architecture);
        foreach ((string key, object value) in keys)
            metadata.Set(key, value);
        var warnings = new List<string>();
        return (ChatTemplate.From(metadata, Vocabularies.Load(metadata), warnings.Add), warnings);
    }
}
