using System.Diagnostics;
using System.Text;
using Tern.Text.Templates;

namespace Tern.Tests.Text.Templates;

/// <summary>Whatever a template's bytes are, it renders or ends with a template error, soon. Seeds are fixed.</summary>
public sealed class TemplateFuzzTests
{
    private const string Variables = """
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "héllo 😀"}, {"role": "assistant", "content": null, "tool_calls": [{"function": {"name": "f", "arguments": {"a": [1, 2.5, true]}}}]}],
         "tools": [{"type": "function", "function": {"name": "f"}}], "add_generation_prompt": true, "bos_token": "<s>", "n": 3, "d": {"a": 1}, "l": [1, "b", null]}
        """;

    private static readonly TemplateBudget s_budget = new() { Steps = 20_000, MemoryBytes = 1 << 20, OutputCharacters = 100_000 };

    private static readonly string[] s_seeds =
    [
        "{% for m in messages %}{% if loop.first and m.role != 'system' %}{{ bos_token }}{% endif %}{{ '<|' ~ m['role'] ~ '|>' + m.content|default('', true)|trim }}{% endfor %}",
        "{%- macro f(x, y=2) -%}{% for k, v in x|items if v is not none recursive %}{{ k }}={{ v|tojson(indent=2) }}{% else %}none{% endfor %}{%- endmacro -%}{{ f(d, *[1]) }}{% call f(d) %}{% endcall %}",
        "{% set ns = namespace(a=[], b='') %}{% for i in range(n)[::-1] %}{% set ns.a = ns.a + [i ** 2 // 3 % 5] %}{% set ns.b = ns.b ~ '%05.2f'|format(i / 2) %}{% endfor %}{{ ns.a|sort(reverse=true)|join('-') }}{{ ns.b[1:-1:2] }}",
        "{% set x %}a{{ n }}{% raw %}{{ }}{% endraw %}{# c #}{% endset %}{{ x.split('a', 1)|map('upper')|list|string|replace('A', 'b')|center(20) }}{{ strftime_now('%Y') if n is odd else l|groupby(0) }}",
        "{% with q = messages|selectattr('role', 'eq', 'user')|list %}{{ q[0].content.title()[::-1] }}{{ '{} {x}'.format(1, x=q) }}{% endwith %}{% filter indent(2) %}a\nb{% endfilter %}",
    ];

    private static readonly string[] s_tokens =
    [
        "{{", "}}", "{%", "%}", "{%-", "-%}", "{#", "#}", " ", "\n", "if ", "elif ", "else", "endif", "for ", " in ", "endfor", "set ", "endset", "macro ", "endmacro", "call ", "endcall",
        "filter ", "endfilter", "raw", "endraw", "with ", "endwith", "break", "continue", "recursive", "not ", "and ", "or ", "is ", "n", "d", "l", "messages", "loop", "caller", "x", "ns",
        "(", ")", "[", "]", "{", "}", ",", ":", ".", "|", "=", "==", "<", ">=", "+", "-", "*", "**", "/", "//", "%", "~", "'a'", "\"b\"", "'", "1", "0", "2.5", "9223372036854775807", "1e308", "-1",
        "true", "none", "tojson", "items", "join", "sort", "map", "select", "format", "namespace", "range", "dict", "split", "append", "pop", "update", "strip", "replace", "__class__", "😀",
    ];

    private static readonly string[] s_calls =
        [.. TemplateFilters.All.Keys, .. TemplateTests.All.Keys, .. TemplateStringMethods.All.Keys, .. TemplateCollectionMethods.OfLists.Keys, .. TemplateCollectionMethods.OfDictionaries.Keys];

    private static readonly string[] s_arguments =
        ["1", "-1", "0", "9223372036854775807", "2.5", "'a'", "''", "'%s %d'", "none", "true", "[]", "[1, 'b']", "{'a': 1}", "(1, 2)", "x", "n", "range", "l", "messages", "attribute='a'", "attribute=0", "default=1", "d"];

    [Fact]
    public void Mutated_templates_render_or_fail_cleanly()
    {
        var random = new Random(20260307);
        for (int round = 0; round < 4000; round++)
        {
            var text = new StringBuilder(s_seeds[random.Next(s_seeds.Length)]);
            for (int edits = random.Next(1, 6); edits > 0; edits--)
                Mutate(text, random);
            Try(text.ToString());
        }
    }

    [Fact]
    public void Soups_of_tokens_render_or_fail_cleanly()
    {
        var random = new Random(20260308);
        for (int round = 0; round < 4000; round++)
        {
            var text = new StringBuilder(random.Next(3) == 0 ? "" : "{{ ");
            for (int count = random.Next(1, 40); count > 0; count--)
                text.Append(s_tokens[random.Next(s_tokens.Length)]).Append(random.Next(3) == 0 ? " " : "");
            Try(text.Append(random.Next(2) == 0 ? " }}" : " %}").ToString());
        }
    }

    [Fact]
    public void Every_filter_test_and_method_takes_any_arguments_or_fails_cleanly()
    {
        var random = new Random(20260309);
        foreach (string name in s_calls)
            for (int round = 0; round < 60; round++)
            {
                string subject = s_arguments[random.Next(s_arguments.Length)];
                string arguments = string.Join(", ", Enumerable.Range(0, random.Next(4)).Select(_ => s_arguments[random.Next(s_arguments.Length)]));
                if (subject.Contains('=', StringComparison.Ordinal))
                    continue;
                Try($"{{{{ ({subject})|{name}({arguments}) }}}}{{{{ ({subject}) is {name}({arguments}) }}}}");
                Try($"{{{{ ({subject}) is {name}({arguments}) }}}}");
                Try($"{{{{ ({subject}).{name}({arguments}) }}}}");
            }
    }

    private static void Mutate(StringBuilder text, Random random)
    {
        int at = random.Next(text.Length + 1);
        int length = Math.Min(random.Next(1, 12), text.Length - at);
        switch (random.Next(4))
        {
            case 0:
                text.Remove(at, length);
                break;
            case 1:
                text.Insert(at, s_tokens[random.Next(s_tokens.Length)]);
                break;
            case 2:
                text.Insert(random.Next(text.Length + 1), text.ToString(at, length));
                break;
            default:
                text.Insert(at, (char)random.Next(1, 0x3000));
                break;
        }
    }

    private static void Try(string template)
    {
        var clock = Stopwatch.StartNew();
        try
        {
            Rendering.Of(template, Variables, s_budget);
        }
        catch (TernException e) when (e.Kind == ErrorKind.Template)
        {
        }
        catch (Exception e)
        {
            Assert.Fail($"«{template}» ended with {e}");
        }

        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(2), $"«{template}» took {clock.Elapsed}");
    }
}
