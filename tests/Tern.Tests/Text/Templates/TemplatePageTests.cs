using System.Globalization;
using Tern.Text.Templates;

namespace Tern.Tests.Text.Templates;

/// <summary>Holds docs/chat-templates.md to the tables and limits of the code.</summary>
public sealed class TemplatePageTests
{
    private static readonly string[] s_page = File.ReadAllLines(Path.Combine(Repository.Root, "docs", "chat-templates.md"));

    [Fact]
    public void The_page_lists_every_filter_and_function()
    {
        Assert.Equal(TemplateFilters.All.Keys.Order(StringComparer.Ordinal), Row("filters"));
        Assert.Equal(TemplateGlobals.All.Keys.Order(StringComparer.Ordinal), Row("functions"));
    }

    [Fact]
    public void The_page_lists_every_test_by_its_first_name() =>
        Assert.Equal(
            TemplateTests.All.Values.Select(test => test.ShortName).Distinct().Order(StringComparer.Ordinal),
            Row("tests").Where(TemplateTests.All.ContainsKey));

    [Fact]
    public void The_page_gives_every_budget()
    {
        TemplateBudget budget = TemplateBudget.Default;
        Assert.Equal($"{budget.SourceCharacters:N0} characters", Cell("source"));
        Assert.Equal($"{budget.Nesting} levels", Cell("nesting"));
        Assert.Equal(budget.Steps.ToString("N0", CultureInfo.InvariantCulture), Cell("step"));
        Assert.Equal($"{budget.Depth} levels", Cell("depth"));
        Assert.Equal($"{budget.OutputCharacters:N0} characters", Cell("output"));
        Assert.Equal($"{budget.MemoryBytes:N0} bytes", Cell("memory"));
    }

    private static string Cell(string name) => s_page.Single(line => line.StartsWith($"| {name} |", StringComparison.Ordinal)).Split('|')[2].Trim();

    private static string[] Row(string name) => Cell(name).Split([' ', ','], StringSplitOptions.RemoveEmptyEntries);
}
